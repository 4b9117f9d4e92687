//! `hotfoot settings [TARGET]`: what can be set about a target, and what this machine has of it.

use anyhow::Result;
use hotfoot_compile::{LEVELS, Setting, SettingValues, Target};

use crate::args::{SettingsArgs, known_target};
use crate::ui;

/// Prints the settings.
pub fn execute(args: &SettingsArgs) -> Result<i32> {
    let target = known_target(&args.target)?;
    let host = Target::host().and_then(|host| Ok((host.triple(), host.settings()?)));
    // Another processor's extensions are none of this one's.
    let host = host.ok().filter(|(triple, _)| processor(triple) == processor(&target.triple()));
    let settings = target.settings()?;
    ui::print(&text(&args.target, &target, &settings, host.as_ref().map(|(_, settings)| settings.as_slice())));
    Ok(0)
}

fn processor(triple: &str) -> &str {
    triple.split('-').next().unwrap_or_default()
}

fn text(name: &str, target: &Target, settings: &[Setting], host: Option<&[Setting]>) -> String {
    let triple = target.triple();
    let what = if name == triple { String::new() } else { format!("{name}: ") };
    let mut text = format!("{what}{triple}\n\nExtensions of the instruction set\n");
    let host_has = |name: &str| {
        let host = host?.iter().find(|setting| setting.name == name)?;
        Some(host.value.as_deref() == Some("true"))
    };
    let of_isa = || settings.iter().filter(|setting| setting.of_instruction_set);
    text.push_str(&format!("  {:<30}{:<10}{:<14}{}\n", "name", "used here", "this machine", "meaning"));
    for setting in of_isa().filter(|setting| setting.values != SettingValues::Preset) {
        let used = yes(setting.value.as_deref() == Some("true"));
        let here = host_has(setting.name).map_or("-", yes);
        text.push_str(&format!("  {:<30}{used:<10}{here:<14}{}\n", setting.name, meaning(setting)));
    }
    let presets: Vec<&str> = of_isa()
        .filter(|setting| setting.values == SettingValues::Preset)
        .map(|setting| setting.name)
        .filter(|name| LEVELS.iter().all(|(level, _)| level != name))
        .collect();
    if !presets.is_empty() {
        text.push_str("\nLevels, which are targets, too; each has all of the one before\n");
        for (level, extensions) in LEVELS {
            let what = if extensions.is_empty() { "no more than hotfoot always needs" } else { &extensions.join(", ") };
            text.push_str(&format!("  {level:<30}{what}\n"));
        }
        text.push_str("\nProcessors, each a name for several extensions\n");
        text.push_str(&wrapped(&presets));
    }
    text.push_str("\nCode generation\n");
    for setting in settings.iter().filter(|setting| !setting.of_instruction_set) {
        let value = setting.value.as_deref().unwrap_or_default();
        text.push_str(&format!("  {:<46}{value:<14}{}\n", setting.name, values(&setting.values)));
    }
    text.push_str("\nGive any of them to --cranelift-set NAME[=VALUE], or levels and triples to --target.\n");
    text
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

/// What a setting takes.
fn values(values: &SettingValues) -> String {
    match values {
        SettingValues::Switch => "true or false".to_owned(),
        SettingValues::Choice(words) => words.join(", "),
        SettingValues::Number => "a number".to_owned(),
        SettingValues::Preset => String::new(),
    }
}

/// The first clause of what the code generator says about a setting: the rest is about its use, and long.
fn meaning(setting: &Setting) -> &str {
    let first = setting.description.split(';').next().unwrap_or_default();
    let first = first.split(". ").next().unwrap_or(first);
    first.trim_end_matches('.')
}

/// Words in lines of what a terminal shows.
fn wrapped(words: &[&str]) -> String {
    const WIDTH: usize = 96;
    let mut text = String::new();
    let mut line = String::from(" ");
    for word in words {
        if line.len() + word.len() + 1 > WIDTH {
            text.push_str(&line);
            text.push('\n');
            line = String::from(" ");
        }
        line.push(' ');
        line.push_str(word);
    }
    format!("{text}{line}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_shown_beside_what_the_machine_has() {
        let level = Target::new("x86-64-v3").unwrap();
        let machine = Target::new("x86-64-v2").unwrap().settings().unwrap();
        let shown = text("x86-64-v3", &level, &level.settings().unwrap(), Some(&machine));
        let words = |name: &str| -> Vec<&str> {
            let line = shown.lines().find(|line| line.split_whitespace().next() == Some(name));
            line.unwrap_or_else(|| panic!("{name} is not in\n{shown}")).split_whitespace().take(3).collect()
        };
        assert!(shown.starts_with("x86-64-v3: x86_64-unknown-linux-gnu\n"));
        assert_eq!(words("has_avx2"), ["has_avx2", "yes", "no"]);
        assert_eq!(words("has_sse42"), ["has_sse42", "yes", "yes"]);
        assert_eq!(words("has_avx512f"), ["has_avx512f", "no", "no"]);
        assert_eq!(words("opt_level"), ["opt_level", "speed", "none,"]);
        assert!(shown.contains("znver3") && shown.contains("x86-64-v4"));
    }

    #[test]
    fn another_processor_has_no_column_of_this_machine() {
        let target = Target::new("aarch64").unwrap();
        let shown = text("aarch64", &target, &target.settings().unwrap(), None);
        let lse = shown.lines().find(|line| line.contains("has_lse")).unwrap();
        assert_eq!(lse.split_whitespace().nth(2), Some("-"));
        assert!(!shown.contains("Processors") && !shown.contains("x86-64-v4"));
    }
}

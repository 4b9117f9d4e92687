//! What can be set about a target: every setting of the code generator with its meaning and its value there, for
//! people who choose between them.

use cranelift_codegen::settings::{self, SettingKind, Value};

use crate::target::{FIXED, Target};
use crate::{Error, Options};

/// What a setting takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingValues {
    /// `true` or `false`.
    Switch,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A number below 256.
    Number,
    /// Nothing: it stands for several settings, which it switches on.
    Preset,
}

/// A setting of the code generator, as [`Target::set`] takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// What it means, in the words of the code generator.
    pub description: &'static str,
    /// What it takes.
    pub values: SettingValues,
    /// Its value for the target that was asked; none for a preset.
    pub value: Option<String>,
    /// Whether it belongs to the target's instruction set; otherwise to code generation for any target.
    pub of_instruction_set: bool,
}

impl Target {
    /// All settings, with their values for this target, those of the instruction set first. Those that
    /// cannot be chosen are left out.
    ///
    /// # Errors
    /// When the target's settings contradict each other.
    pub fn settings(&self) -> Result<Vec<Setting>, Error> {
        let isa = self.build(&Options::default(), false)?;
        let of_isa = self.isa()?.iter().map(|setting| describe(&setting, &isa.isa_flags(), true)).collect::<Vec<_>>();
        let shared: Vec<Value> = isa.flags().iter().collect();
        let fixed = |name: &str| FIXED.iter().any(|(fixed, _)| *fixed == name);
        let general = settings::builder().iter().filter(|setting| !fixed(setting.name));
        Ok(of_isa.into_iter().chain(general.map(|setting| describe(&setting, &shared, false))).collect())
    }
}

fn describe(setting: &settings::Setting, values: &[Value], of_instruction_set: bool) -> Setting {
    let current = values.iter().find(|value| value.name == setting.name);
    Setting {
        name: setting.name,
        description: setting.description,
        values: match setting.kind {
            SettingKind::Enum => SettingValues::Choice(setting.values.unwrap_or_default()),
            SettingKind::Num => SettingValues::Number,
            SettingKind::Bool => SettingValues::Switch,
            SettingKind::Preset => SettingValues::Preset,
        },
        value: current.map(Value::value_string),
        of_instruction_set,
    }
}

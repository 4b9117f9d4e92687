//! Which machine to compile for, and how code generation is set up for it.

use cranelift_codegen::isa::{self, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable, Flags, SetError};
use target_lexicon::{Architecture, Triple};

use crate::{Error, OptLevel, Options};

/// What every x86-64 host must have: without these, some instructions would need functions that do not exist.
const X86_64_REQUIRED: [&str; 5] = ["has_sse3", "has_ssse3", "has_sse41", "has_sse42", "has_popcnt"];
/// What a processor of one of the levels that x86-64 is divided into has, each level with all of the one before. The
/// presets of these names in Cranelift 0.135 forget AVX itself, without which its relatives are not used.
pub const LEVELS: [(&str, &[&str]); 4] = [
    ("x86-64", &[]),
    ("x86-64-v2", &["has_cmpxchg16b"]),
    ("x86-64-v3", &["has_avx", "has_avx2", "has_bmi1", "has_bmi2", "has_fma", "has_lzcnt"]),
    ("x86-64-v4", &["has_avx512f", "has_avx512dq", "has_avx512vl"]),
];
/// Settings of code generation that are not for choosing, as linking or the runtime relies on them.
pub(crate) const FIXED: [(&str, &str); 5] = [
    ("preserve_frame_pointers", "true"),
    ("unwind_info", "false"),
    ("is_pic", "true"),
    ("enable_probestack", "true"),
    ("probestack_strategy", "inline"),
];
/// Settings that do not change the code.
const NOT_RECORDED: [&str; 4] =
    ["enable_verifier", "regalloc_checker", "regalloc_verbose_logs", "machine_code_cfg_info"];

/// A machine to compile for.
#[derive(Clone, Debug)]
pub struct Target {
    triple: Triple,
    /// Whether to use the instruction-set extensions of the machine that this runs on.
    native: bool,
    /// Settings of the instruction set, and of code generation, in the order in which they were made.
    isa_flags: Vec<(String, String)>,
    flags: Vec<(String, String)>,
}

impl Target {
    /// The machine that this runs on, with all instruction-set extensions that it has.
    ///
    /// # Errors
    /// When the machine is not one that code can be generated for.
    pub fn host() -> Result<Target, Error> {
        Target::checked(Triple::host(), true)
    }

    /// A machine by its name: a processor (`x86_64` or `aarch64`, with Linux), a level of x86-64 such as `x86-64-v3`, a
    /// triple such as `aarch64-unknown-linux-gnu`, or `native` for [`Target::host`]. Of optional instruction-set
    /// extensions it has those of the level, and none otherwise.
    ///
    /// # Errors
    /// When the name is none of these, or names a machine that code cannot be generated for.
    pub fn new(name: &str) -> Result<Target, Error> {
        if name == "native" {
            return Target::host();
        }
        let is_level = LEVELS.iter().any(|(level, _)| *level == name);
        let processor = if is_level { "x86_64" } else { name };
        let triple = if processor.contains('-') { name.to_owned() } else { format!("{processor}-unknown-linux-gnu") };
        let parsed = triple.parse().map_err(|error| {
            Error::Target(format!("`{name}`: {error}; write x86_64, aarch64, x86-64-v3, native or a triple"))
        })?;
        let mut target = Target::checked(parsed, false)?;
        if is_level {
            target.enable(name)?;
        }
        Ok(target)
    }

    fn checked(triple: Triple, native: bool) -> Result<Target, Error> {
        let target = Target { triple, native, isa_flags: Vec::new(), flags: Vec::new() };
        target.isa()?;
        Ok(target)
    }

    /// The instruction set with the settings made so far.
    pub(crate) fn isa(&self) -> Result<isa::Builder, Error> {
        let refused = |message: String| Error::Target(format!("`{}`: {message}", self.triple));
        let mut builder = isa::lookup(self.triple.clone())
            .map_err(|error| refused(format!("{error}; x86_64 and aarch64 are supported")))?;
        if self.native {
            cranelift_native::infer_native_flags(&mut builder).map_err(|message| refused(message.to_owned()))?;
        }
        let required = match self.triple.architecture {
            Architecture::X86_64 => X86_64_REQUIRED.as_slice(),
            Architecture::Aarch64(_) => &[],
            _ => return Err(refused("x86_64 and aarch64 are supported".to_owned())),
        };
        let required = required.iter().map(|name| (*name, "true"));
        let chosen = self.isa_flags.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in required.chain(chosen) {
            apply(&mut builder, name, value).map_err(|error| refused(format!("`{name}={value}`: {error}")))?;
        }
        Ok(builder)
    }

    /// Sets a Cranelift setting, of the instruction set or of code generation. A name of [`LEVELS`] is a setting, too,
    /// with the value `true`: it switches on all that this level has.
    ///
    /// # Errors
    /// When there is no such setting, or it does not take the value.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        if let Some(level) = LEVELS.iter().position(|(level, _)| *level == name && value == "true") {
            let extensions = LEVELS[..=level].iter().flat_map(|(_, extensions)| *extensions);
            return extensions.copied().try_for_each(|extension| self.set(extension, "true"));
        }
        let entry = (name.to_owned(), value.to_owned());
        let of_isa = apply(&mut self.isa()?, name, value);
        let is_of_isa = !matches!(of_isa, Err(SetError::BadName(_)));
        let known = if is_of_isa { of_isa } else { apply(&mut settings::builder(), name, value) };
        known.map_err(|error| Error::Target(format!("setting `{name}` to `{value}`: {error}")))?;
        if is_of_isa {
            self.isa_flags.push(entry)
        } else {
            self.flags.push(entry)
        }
        Ok(())
    }

    /// Enables a Cranelift setting or preset.
    ///
    /// # Errors
    /// When there is no such setting, or it is not one that can be enabled.
    pub fn enable(&mut self, flag: &str) -> Result<(), Error> {
        self.set(flag, "true")
    }

    /// The target's triple.
    pub fn triple(&self) -> String {
        self.triple.to_string()
    }

    /// Builds the code generator: as the options say, or the one that takes least time and memory.
    pub(crate) fn build(&self, options: &Options, simple: bool) -> Result<OwnedTargetIsa, Error> {
        let mut flags = settings::builder();
        let opt_level = match options.opt_level {
            _ if simple => "none",
            OptLevel::None => "none",
            OptLevel::Speed => "speed",
            OptLevel::SpeedAndSize => "speed_and_size",
        };
        let verify = if cfg!(debug_assertions) { "true" } else { "false" };
        let nan = if options.nan_canonicalization { "true" } else { "false" };
        let fuel_register = if options.tunables.consume_fuel { "true" } else { "false" };
        let ours = [
            ("opt_level", opt_level),
            ("enable_verifier", verify),
            ("enable_nan_canonicalization", nan),
            ("enable_pinned_reg", fuel_register),
            ("enable_heap_access_spectre_mitigation", "true"),
            ("enable_table_access_spectre_mitigation", "true"),
        ];
        let theirs = self.flags.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let simplest = simple.then_some(("regalloc_algorithm", "single_pass"));
        for (name, value) in FIXED.into_iter().chain(ours).chain(theirs).chain(simplest) {
            apply(&mut flags, name, value).map_err(|error| Error::Target(format!("setting `{name}`: {error}")))?;
        }
        let flags = Flags::new(flags);
        for (name, value) in FIXED {
            if flags.iter().any(|flag| flag.name == name && flag.value_string() != value) {
                return Err(Error::Target(format!("`{name}` must stay `{value}`, as the runtime relies on it")));
            }
        }
        if flags.enable_pinned_reg() != options.tunables.consume_fuel {
            let message = "`enable_pinned_reg` follows `consume_fuel`: that register holds the fuel";
            return Err(Error::Target(message.into()));
        }
        self.isa()?.finish(flags).map_err(|error| Error::Target(error.to_string()))
    }
}

/// Sets a setting; a preset has no value and is enabled by `true`.
fn apply(builder: &mut impl Configurable, name: &str, value: &str) -> Result<(), SetError> {
    if value == "true" { builder.enable(name) } else { builder.set(name, value) }
}

/// The settings that an artifact records: those that the code depends on, and the instruction-set extensions it needs.
pub(crate) fn recorded(isa: &dyn isa::TargetIsa, options: &Options) -> (Vec<String>, Vec<String>) {
    let shared = isa.flags().iter().filter(|setting| !NOT_RECORDED.contains(&setting.name));
    let mut settings: Vec<String> =
        shared.map(|setting| format!("{}={}", setting.name, setting.value_string())).collect();
    settings.push(format!("relaxed_simd_deterministic={}", options.relaxed_simd_deterministic));
    settings.push(format!("debug_info={}", options.debug_info));
    settings.push(format!("inlining={}", options.inlining));
    if options.tunables.consume_fuel {
        settings.push(format!("operator_cost={}", options.operator_cost));
    }
    settings.sort();
    let extensions = isa.isa_flags().into_iter().filter(|setting| setting.as_bool() == Some(true));
    let mut extensions: Vec<String> = extensions.map(|setting| setting.name.to_owned()).collect();
    extensions.sort();
    (settings, extensions)
}

//! The values of single options: what may be written, and a sentence for everything else.

use std::path::PathBuf;
use std::time::Duration;

use hotfoot_wasi::Perms;

use crate::profile::{DEFAULT_INTERVAL, Profile};

/// A directory of ours and the name under which the guest sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// Where it is here.
    pub host: PathBuf,
    /// What the guest calls it.
    pub guest: String,
    /// What the guest may do in it.
    pub perms: Perms,
}

/// A variable for the guest's environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvVar {
    /// The variable's name.
    pub name: String,
    /// Its value; none takes the value from our own environment.
    pub value: Option<String>,
}

/// A module whose exports become importable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preload {
    /// The module name that imports use.
    pub name: String,
    /// The module's file.
    pub file: PathBuf,
}

/// A setting of the code generator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CraneliftSetting {
    /// The setting's name, or a preset's.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// Reads `NAME[=VALUE]`; a name alone switches on.
pub fn cranelift_setting(text: &str) -> Result<CraneliftSetting, String> {
    let (name, value) = text.split_once('=').unwrap_or((text, "true"));
    if name.is_empty() || value.is_empty() {
        return Err("write a setting as NAME or NAME=VALUE, as in has_avx2=false".to_owned());
    }
    Ok(CraneliftSetting { name: name.to_owned(), value: value.to_owned() })
}

/// Reads `HOST[::GUEST][:ro]`; `:rw` says what is the default, for directories whose name ends in `:ro`.
pub fn directory(text: &str) -> Result<Directory, String> {
    let (names, perms) = match text.rsplit_once(':') {
        // `data::ro` is the directory `data`, called `ro`.
        Some((names, "ro")) if !names.ends_with(':') => (names, Perms::READ_ONLY),
        Some((names, "rw")) if !names.ends_with(':') => (names, Perms::READ_WRITE),
        _ => (text, Perms::READ_WRITE),
    };
    let (host, guest) = names.split_once("::").unwrap_or((names, names));
    if host.is_empty() || guest.is_empty() {
        return Err(
            "write a directory as HOST or HOST::GUEST, both not empty, with :ro after it to only read".to_owned()
        );
    }
    Ok(Directory { host: host.into(), guest: guest.to_owned(), perms })
}

/// Reads `NAME[=VALUE]`.
pub fn env_var(text: &str) -> Result<EnvVar, String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, None),
    };
    if name.is_empty() {
        return Err("write a variable as NAME or NAME=VALUE".to_owned());
    }
    Ok(EnvVar { name: name.to_owned(), value })
}

/// Reads `perfmap`, `jitdump` or `guest[,FILE[,INTERVAL]]`.
pub fn profile(text: &str) -> Result<Profile, String> {
    let mut parts = text.split(',');
    let kind = parts.next().unwrap_or_default();
    let (file, interval, rest) = (parts.next(), parts.next(), parts.next());
    match (kind, file, rest) {
        ("perfmap", None, _) => Ok(Profile::PerfMap),
        ("jitdump", None, _) => Ok(Profile::JitDump),
        ("guest", _, None) => {
            let interval = interval.map(duration).transpose()?.unwrap_or(DEFAULT_INTERVAL);
            Ok(Profile::Guest { file: file.filter(|file| !file.is_empty()).map(PathBuf::from), interval })
        }
        _ => Err("write perfmap, jitdump or guest, and after that perhaps a file and an interval, as in \
                  guest,profile.html,1ms"
            .to_owned()),
    }
}

/// Reads `NAME=FILE`.
pub fn preload(text: &str) -> Result<Preload, String> {
    match text.split_once('=') {
        Some((name, file)) if !file.is_empty() => Ok(Preload { name: name.to_owned(), file: file.into() }),
        _ => Err("write a preload as NAME=FILE, as in math=math.wasm".to_owned()),
    }
}

/// Reads a switch.
pub fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "y" | "yes" | "true" | "on" | "1" => Ok(true),
        "n" | "no" | "false" | "off" | "0" => Ok(false),
        _ => Err("write y or n".to_owned()),
    }
}

/// Reads a number of bytes: decimal or `0x…`, with a binary unit such as `KiB` or `K` if any.
pub fn size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u32); 9] =
        [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40), ("K", 10), ("M", 20), ("G", 30), ("T", 40), ("B", 0)];
    let expected = "write a number of bytes such as 65536, 0x10000, 64KiB or 4GiB";
    let (number, factor) = match text.strip_prefix("0x") {
        Some(hex) => (u64::from_str_radix(hex, 16), 1),
        None => {
            let unit = UNITS.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, 1 << shift)));
            let (digits, factor) = unit.unwrap_or((text, 1));
            (digits.parse(), factor)
        }
    };
    let number = number.map_err(|_| expected.to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "that is more than 64 bits can count; write a smaller size".to_owned())
}

/// Reads a time: a number, with a fraction or not, and its unit.
pub fn duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, f64); 5] = [("ms", 1e-3), ("us", 1e-6), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let expected = || "write a time such as 5s, 250ms, 1.5m or 2h".to_owned();
    let unit = UNITS.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)));
    let (number, seconds) = unit.ok_or_else(expected)?;
    let digits = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: f64 = number.parse().ok().filter(|_| digits).ok_or_else(expected)?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| expected())
}

/// A part of WASI that is provided when it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WasiOption {
    /// `wasi.thread-spawn`.
    Threads(bool),
}

/// `threads`, or `threads=n`.
pub fn wasi_option(text: &str) -> Result<WasiOption, String> {
    let (name, enabled) = match text.split_once('=') {
        Some((name, value)) => (name, yes_or_no(value)?),
        None => (text, true),
    };
    match name {
        "threads" => Ok(WasiOption::Threads(enabled)),
        _ => Err(format!("there is no part of WASI named `{name}`; write threads")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(size("0"), Ok(0));
        assert_eq!(size("65536"), Ok(65536));
        assert_eq!(size("0x10000"), Ok(65536));
        assert_eq!(size("64KiB"), Ok(65536));
        assert_eq!(size("64K"), Ok(65536));
        assert_eq!(size("4GiB"), Ok(1 << 32));
        for wrong in ["", "-1", "KiB", "4 GiB", "four", "0x", "1.5M"] {
            assert!(size(wrong).unwrap_err().contains("64KiB"), "{wrong}");
        }
        assert!(size("18446744073709551615K").unwrap_err().contains("smaller"));
    }

    #[test]
    fn durations() {
        assert_eq!(duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for wrong in ["", "5", "s", "-1s", "infs", "NaNs", "1e3s", "5 s", "1d"] {
            assert!(duration(wrong).unwrap_err().contains("250ms"), "{wrong}");
        }
        assert!(duration(&format!("{}h", "9".repeat(30))).is_err());
    }

    #[test]
    fn directories() {
        let both = directory("data::/in").unwrap();
        assert_eq!((both.host, both.guest), ("data".into(), "/in".to_owned()));
        let one = directory(".").unwrap();
        assert_eq!((one.host, one.guest), (".".into(), ".".to_owned()));
        assert_eq!(one.perms, Perms::READ_WRITE);
        let closed = directory("data::/in:ro").unwrap();
        assert_eq!((closed.host, closed.guest, closed.perms), ("data".into(), "/in".to_owned(), Perms::READ_ONLY));
        assert_eq!(directory("a:ro").unwrap().guest, "a");
        assert_eq!(directory("a:ro:rw").unwrap().perms, Perms::READ_WRITE);
        assert_eq!(directory("a:ro:rw").unwrap().guest, "a:ro");
        let named = directory("data::ro").unwrap();
        assert_eq!((named.host, named.guest, named.perms), ("data".into(), "ro".to_owned(), Perms::READ_WRITE));
        assert!(directory(":ro").is_err());
        assert!(directory("::x").is_err() && directory("x::").is_err() && directory("").is_err());
    }

    #[test]
    fn pairs() {
        assert_eq!(env_var("A=b=c").unwrap(), EnvVar { name: "A".into(), value: Some("b=c".into()) });
        assert_eq!(env_var("A").unwrap(), EnvVar { name: "A".into(), value: None });
        assert!(env_var("=x").is_err());
        assert_eq!(preload("m=a.wat").unwrap(), Preload { name: "m".into(), file: "a.wat".into() });
        assert!(preload("m").is_err() && preload("m=").is_err());
        let setting = |text: &str| cranelift_setting(text).map(|setting| setting.name + " to " + &setting.value);
        assert_eq!(setting("has_avx").unwrap(), "has_avx to true");
        assert_eq!(setting("opt_level=none").unwrap(), "opt_level to none");
        assert!(setting("=x").is_err() && setting("x=").is_err());
    }
}

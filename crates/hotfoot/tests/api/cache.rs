//! The cache: found again by any process, never half written, never larger than allowed, never from others.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use hotfoot::{Cache, CacheConfig, CacheUsage, Config, Engine, Instance, Module, OptLevel, Store};

use super::{Change, call};

/// A directory of one test's, gone at the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("hotfoot-test-cache-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn cache(directory: &Path) -> Cache {
    let mut config = CacheConfig::new();
    config.with_directory(directory);
    Cache::new(config).unwrap()
}

fn engine(cache: &Cache) -> Engine {
    Engine::new(Config::new().cache(Some(cache.clone()))).unwrap()
}

fn text(answer: u32) -> String {
    format!(r#"(module (func (export "f") (result i32) (i32.const {answer})))"#)
}

fn answer(engine: &Engine, text: &str) -> i32 {
    let module = Module::new(engine, text).unwrap();
    let mut store = Store::new(engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    call::<_, (), i32>(&mut store, instance, "f", ()).unwrap()
}

fn counts(cache: &Cache) -> (usize, usize) {
    (cache.cache_hits(), cache.cache_misses())
}

#[test]
fn the_second_time_is_a_hit() {
    let directory = Directory::new("second");
    let cache_a = cache(&directory.0);
    assert_eq!(cache_a.directory(), directory.0);
    assert_eq!(cache_a.usage().unwrap(), CacheUsage::default());
    assert_eq!(answer(&engine(&cache_a), &text(1)), 1);
    assert_eq!(counts(&cache_a), (0, 1));
    for _ in 0..3 {
        let cache = cache(&directory.0);
        assert_eq!(answer(&engine(&cache), &text(1)), 1);
        assert_eq!(counts(&cache), (1, 0));
    }
    assert_eq!(answer(&engine(&cache_a), &text(2)), 2);
    assert_eq!(counts(&cache_a), (0, 2));
    let usage = cache_a.usage().unwrap();
    assert_eq!(usage.files, 2);
    assert!(usage.bytes > 0);
    assert_eq!(cache_a.clear().unwrap(), usage);
    assert_eq!(cache_a.usage().unwrap(), CacheUsage::default());
    assert_eq!(answer(&engine(&cache_a), &text(2)), 2);
    assert_eq!(counts(&cache_a), (0, 3));
}

#[test]
fn other_settings_are_other_entries() {
    let directory = Directory::new("settings");
    let changes: [Change; 5] = [
        |config| config,
        |config| config.cranelift_opt_level(OptLevel::None),
        |config| config.signals_based_traps(false),
        |config| config.wasm_simd(false),
        |config| config.cranelift_flag_set("enable_heap_access_spectre_mitigation", "false"),
    ];
    let cache = cache(&directory.0);
    for (count, change) in changes.into_iter().enumerate() {
        for again in 0..2 {
            let engine = Engine::new(change(&mut Config::new()).cache(Some(cache.clone()))).unwrap();
            assert_eq!(answer(&engine, &text(1)), 1);
            assert_eq!(counts(&cache), (count + again, count + 1));
        }
    }
}

#[test]
fn what_does_not_compile_is_not_kept() {
    let directory = Directory::new("invalid");
    let cache = cache(&directory.0);
    assert!(Module::new(&engine(&cache), "(module (func (result i32)))").is_err());
    assert!(Module::new(&engine(&cache), b"\0asm\x09\0\0\0").is_err());
    assert_eq!(cache.usage().unwrap(), CacheUsage::default());
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = directory.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn a_damaged_entry_is_made_again() {
    let directory = Directory::new("damaged");
    let cache = cache(&directory.0);
    assert_eq!(answer(&engine(&cache), &text(1)), 1);
    let [entry] = &entries(&directory.0)[..] else { panic!("one entry") };
    let whole = std::fs::read(entry).unwrap();
    let mut flipped = whole.clone();
    flipped[200] ^= 1;
    for damaged in [&b""[..], &whole[..whole.len() - 1], &flipped, &[0; 100]] {
        let misses = cache.cache_misses();
        std::fs::write(entry, damaged).unwrap();
        assert_eq!(answer(&engine(&cache), &text(1)), 1);
        assert_eq!(cache.cache_misses(), misses + 1);
        assert_eq!(std::fs::read(entry).unwrap(), whole);
    }
}

/// With a key, whoever can write to the directory still cannot make us run code.
#[test]
fn a_shared_cache_needs_the_key() {
    let directory = Directory::new("key");
    let with = |key: u8| {
        let cache = cache(&directory.0);
        (Engine::new(Config::new().artifact_key([key; 32]).cache(Some(cache.clone()))).unwrap(), cache)
    };
    let (ours, cache_of_ours) = with(1);
    assert_eq!(answer(&ours, &text(1)), 1);
    let (theirs, cache_of_theirs) = with(2);
    assert_eq!(answer(&theirs, &text(1)), 1);
    assert_eq!(counts(&cache_of_theirs), (0, 1));
    // The key is no part of the name, so the other's entry took the place of ours, which is refused and replaced.
    assert_eq!(answer(&ours, &text(1)), 1);
    assert_eq!(counts(&cache_of_ours), (0, 2));
    let [entry] = &entries(&directory.0)[..] else { panic!("one entry") };
    let mut changed = std::fs::read(entry).unwrap();
    let at = 4096;
    changed[at] ^= 1;
    std::fs::write(entry, changed).unwrap();
    assert_eq!(answer(&ours, &text(1)), 1);
    assert_eq!(counts(&cache_of_ours), (0, 3));
}

#[test]
fn what_was_used_longest_ago_goes_first() {
    let directory = Directory::new("eviction");
    let cache = cache(&directory.0);
    let size = |number| {
        assert_eq!(answer(&engine(&cache), &text(number)), number as i32);
        cache.usage().unwrap().bytes
    };
    let one = size(1);
    for (number, path) in entries(&directory.0).iter().enumerate() {
        age(path, 100 + number as u64);
    }
    let first = entries(&directory.0);
    size(2);
    let second: Vec<PathBuf> = entries(&directory.0).into_iter().filter(|path| !first.contains(path)).collect();
    age(&second[0], 200);
    // Used again, the first is younger than the second.
    assert_eq!(answer(&engine(&cache), &text(1)), 1);
    let mut config = CacheConfig::new();
    config.with_directory(&directory.0).with_files_total_size_soft_limit(one * 29 / 10);
    let small = Cache::new(config).unwrap();
    assert_eq!(answer(&engine(&small), &text(3)), 3);
    assert!(small.usage().unwrap().bytes <= one * 29 / 10);
    let left = entries(&directory.0);
    assert!(left.contains(&first[0]) && !left.contains(&second[0]), "{left:?}");
    assert_eq!(small.usage().unwrap().files, 2);
}

fn age(path: &Path, hours: u64) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(hours * 3600)).unwrap();
}

#[test]
fn a_directory_that_others_can_write_to_is_refused() {
    let directory = Directory::new("open");
    cache(&directory.0);
    assert_eq!(directory.0.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let refusal = |path: &Path| {
        let mut config = CacheConfig::new();
        config.with_directory(path);
        Cache::new(config).unwrap_err().to_string()
    };
    for mode in [0o770, 0o702, 0o777] {
        std::fs::set_permissions(&directory.0, std::fs::Permissions::from_mode(mode)).unwrap();
        assert!(refusal(&directory.0).contains("chmod go-w"), "{mode:o}");
    }
    std::fs::set_permissions(&directory.0, std::fs::Permissions::from_mode(0o755)).unwrap();
    cache(&directory.0);
    let file = directory.0.join("file");
    std::fs::write(&file, "").unwrap();
    assert!(refusal(&file).contains("no directory"));
    assert!(refusal(&file.join("below")).contains("cannot use"));
}

/// A cache that cannot be written to is no reason not to run.
#[test]
fn a_cache_that_is_gone_is_no_error() {
    let directory = Directory::new("gone");
    let cache = cache(&directory.0);
    std::fs::remove_dir_all(&directory.0).unwrap();
    assert_eq!(answer(&engine(&cache), &text(1)), 1);
    assert_eq!(counts(&cache), (0, 1));
}

/// Run by the tests below in processes of its own: compiles modules into the cache in `HOTFOOT_TEST_CACHE`.
#[test]
fn a_process_that_fills_a_cache() {
    let Some(directory) = std::env::var_os("HOTFOOT_TEST_CACHE") else { return };
    let cache = cache(Path::new(&directory));
    for number in 0..40 {
        assert_eq!(answer(&engine(&cache), &text(number)), number as i32);
    }
}

fn process(directory: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "api::cache::a_process_that_fills_a_cache"]).env("HOTFOOT_TEST_CACHE", directory);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn several_processes_fill_one_cache_at_once() {
    let directory = Directory::new("processes");
    let mut children: Vec<_> = (0..4).map(|_| process(&directory.0).spawn().unwrap()).collect();
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    let cache = cache(&directory.0);
    assert_eq!(cache.usage().unwrap().files, 40);
    assert_eq!(entries(&directory.0).len(), 40, "nothing unfinished is left");
    for number in 0..40 {
        assert_eq!(answer(&engine(&cache), &text(number)), number as i32);
    }
    assert_eq!(counts(&cache), (40, 0));
}

/// Killed at any moment, a process leaves whole entries or none; what it did not finish is removed some time.
#[test]
fn a_killed_process_leaves_no_half_entry() {
    let directory = Directory::new("killed");
    for some in 1..20 {
        let mut child = process(&directory.0).spawn().unwrap();
        let files = || directory.0.read_dir().map_or(0, |files| files.count());
        while files() < 2 * some && child.try_wait().unwrap().is_none() {}
        child.kill().unwrap();
        child.wait().unwrap();
    }
    std::fs::create_dir_all(&directory.0).unwrap();
    std::fs::write(directory.0.join("new-1-1"), "half an artifact").unwrap();
    age(&directory.0.join("new-1-1"), 2);
    let cache = cache(&directory.0);
    let verifying = Config::new().verify_artifact_files(true).clone();
    for path in entries(&directory.0).iter().filter(|path| path.extension().is_some()) {
        super::trust::deserialize_file(&Engine::new(&verifying).unwrap(), path).unwrap();
    }
    for number in 0..41 {
        assert_eq!(answer(&engine(&cache), &text(number)), number as i32);
    }
    assert!(!directory.0.join("new-1-1").exists());
    assert_eq!(cache.usage().unwrap().files, 41);
}

//! Escapes, at random and raced: layouts of directories and links that lead anywhere, paths made of their parts, every
//! operation that takes a path, and a thread that keeps swapping directories for links to the outside.
//!
//! What is outside must stay as it is to the byte, and what a guest reads, stats or lists must never be from there. The
//! files outside hold a word that is nowhere inside, have a size that no file inside has, and names that are nowhere else.
//!
//! `HOTFOOT_WASI_ESCAPES=1000000 cargo test -p hotfoot-wasi --test main escape` tries a million paths.

use crate::guest::{CREAT, DATA, DIRECTORY, Filestat, Guest, OUT, READ, TRUNC, WRITE, with_both_walks};
use hotfoot_wasi::p1::{self, Errno};
use hotfoot_wasi::{Perms, Walk};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Paths tried under each walk when nothing else is said, and how many layouts share them.
const ATTEMPTS_DEFAULT: u64 = 4000;
const ATTEMPTS_OF_LAYOUT: u64 = 400;
/// What is outside, and nowhere inside.
const SECRET: &[u8] = b"secret: this many bytes are in no file that a guest may see";

/// The name of something outside that no path says.
const UNSPOKEN: &[u8] = b"unspoken";

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }
}

/// Names inside: some are directories, some files, some links, some nothing, and which is which changes all the time.
const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "swap", "park"];
/// Where the links of a layout lead: in, around, up, out, and to themselves.
const TARGETS: [&str; 16] = [
    ".",
    "..",
    "../..",
    "../../..",
    "a",
    "b/c",
    "../a",
    "../outside",
    "../../outside",
    "../../../outside/secret",
    "d/../../outside",
    "swap/..",
    "swap/../..",
    "e",
    "f/",
    "OUTSIDE",
];

/// A directory `in` for the guest, `outside` with a secret and a directory beside it.
fn layout(root: &Path, random: &mut Random) -> PathBuf {
    let (inside, outside) = (root.join("in"), root.join("outside"));
    std::fs::create_dir_all(outside.join("hidden")).unwrap();
    std::fs::write(outside.join("secret"), SECRET).unwrap();
    std::fs::write(outside.join(std::str::from_utf8(UNSPOKEN).unwrap()), "").unwrap();
    std::fs::create_dir(&inside).unwrap();
    let mut dirs = vec![inside.clone()];
    for _ in 0..24 {
        let parent = dirs[random.below(dirs.len())].clone();
        let path = parent.join(random.pick(&NAMES));
        // What is there already stays.
        match random.below(5) {
            0 | 1 => {
                if std::fs::create_dir(&path).is_ok() {
                    dirs.push(path);
                }
            }
            2 => drop(std::fs::File::create_new(&path)),
            _ => {
                let target = match random.pick(&TARGETS) {
                    "OUTSIDE" => outside.to_str().unwrap().to_owned(),
                    target => target.to_owned(),
                };
                let _ = symlink(target, &path);
            }
        }
    }
    let _ = std::fs::create_dir(inside.join("swap"));
    let _ = symlink("../outside", inside.join("link"));
    inside
}

fn path(random: &mut Random, outside: &Path) -> String {
    let mut path = String::new();
    for _ in 0..=random.below(5) {
        match random.below(12) {
            0 | 1 => path.push_str(".."),
            2 => path.push('.'),
            3 => path.push_str("secret"),
            4 => path.push_str("hidden"),
            5 => path.push_str("outside"),
            _ => path.push_str(random.pick(&NAMES)),
        }
        path.push_str(random.pick(&["/", "/", "/", "//"]));
    }
    if random.below(4) > 0 {
        path.truncate(path.trim_end_matches('/').len());
    }
    match random.below(20) {
        0 => format!("/{path}"),
        1 => format!("{}/{path}", outside.display()),
        _ => path,
    }
}

/// Does something with a path; a panic here is an escape.
fn attempt(guest: &mut Guest, random: &mut Random, path: &str, other: &str) {
    let see = |result: Result<Vec<u8>, Errno>| {
        assert!(!result.is_ok_and(|bytes| bytes.starts_with(b"secret")), "read what is outside by {path}");
    };
    match random.below(14) {
        0 | 1 => see(guest.contents(path)),
        2 => {
            for follow in [true, false] {
                let stat = guest.stat(path, follow);
                let is_secret = |stat: Filestat| stat.filetype == 4 && stat.size == SECRET.len() as u64;
                assert!(!stat.is_ok_and(is_secret), "saw what is outside by {path}");
            }
        }
        3 => list(guest, path),
        4 => {
            let opened = guest.open(path, CREAT, WRITE);
            let _ = opened.map(|fd| (guest.write(fd, b"written by a guest"), guest.close(fd)));
        }
        5 => drop(guest.open(path, TRUNC, WRITE).map(|fd| guest.close(fd))),
        6 => drop(guest.mkdir(path)),
        7 => drop(guest.rmdir(path)),
        8 => drop(guest.unlink(path)),
        9 => drop(guest.rename(path, other)),
        10 => drop(guest.link(path, other)),
        11 => drop(guest.symlink(random.pick(&TARGETS), path)),
        12 => drop(guest.set_times(path, true, 1, 1, 1 | 4)),
        _ => drop(guest.readlink(path, 100)),
    }
}

fn list(guest: &mut Guest, path: &str) {
    let Ok(fd) = guest.open(path, DIRECTORY, READ) else { return };
    if guest.call(|ctx, mem| p1::fd_readdir(ctx, mem, fd, DATA, 8192, 0, OUT)).is_ok() {
        let names = &guest.bytes[DATA as usize..][..guest.u32_at(OUT) as usize];
        assert!(!names.windows(UNSPOKEN.len()).any(|window| window == UNSPOKEN), "listed what is outside by {path}");
    }
    guest.close(fd).unwrap();
}

/// Everything outside: names, kinds, contents, times of change.
fn outside(root: &Path) -> Vec<(PathBuf, Vec<u8>, std::time::SystemTime)> {
    let mut entries: Vec<_> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with("in"))
        .flat_map(|path| match path.is_dir() {
            true => {
                std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).chain([path.clone()]).collect()
            }
            false => vec![path],
        })
        .map(|path| {
            let contents = if path.is_dir() { Vec::new() } else { std::fs::read(&path).unwrap() };
            let modified = path.symlink_metadata().unwrap().modified().unwrap();
            (path, contents, modified)
        })
        .collect();
    entries.sort();
    entries
}

fn swap(inside: &Path, stop: &AtomicBool) {
    let [dir, link, park] = ["swap", "link", "park"].map(|name| inside.join(name));
    while !stop.load(Ordering::Relaxed) {
        // A guest may have moved or removed any of them; some of these fail then.
        let _ = std::fs::rename(&dir, &park);
        let _ = std::fs::rename(&link, &dir);
        let _ = std::fs::rename(&dir, &link);
        let _ = std::fs::rename(&park, &dir);
        if !link.is_symlink() {
            let _ = std::fs::remove_file(&link);
            let _ = symlink("../outside", &link);
        }
        if !dir.is_dir() {
            let _ = std::fs::create_dir(&dir);
        }
    }
}

fn attempts() -> u64 {
    std::env::var("HOTFOOT_WASI_ESCAPES").ok().and_then(|count| count.parse().ok()).unwrap_or(ATTEMPTS_DEFAULT)
}

fn race(walk: Walk, seed: u64) {
    let root = tempfile::tempdir().unwrap();
    let mut random = Random(seed);
    let inside = layout(root.path(), &mut random);
    let before = outside(root.path());
    let mut guest = Guest::in_dir(&inside, Perms::READ_WRITE, walk);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| swap(&inside, &stop));
        let tried = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..ATTEMPTS_OF_LAYOUT {
                let (first, second) =
                    (path(&mut random, &root.path().join("outside")), path(&mut random, &root.path().join("outside")));
                attempt(&mut guest, &mut random, &first, &second);
            }
        }));
        // Or the scope would wait for ever.
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = tried {
            eprintln!("seed {seed}, {walk:?}");
            std::panic::resume_unwind(panic);
        }
    });
    assert!(outside(root.path()) == before, "something outside changed: seed {seed}, {walk:?}");
}

#[test]
fn nothing_outside_is_reached_by_any_path_through_any_layout() {
    for number in 0..attempts().div_ceil(ATTEMPTS_OF_LAYOUT) {
        for walk in [Walk::Auto, Walk::Manual] {
            race(walk, 0x9e37_79b9_7f4a_7c15 ^ (number + 1));
        }
    }
}

/// The test of the test: what it looks for is found when there is no sandbox to keep it away.
#[test]
fn the_word_that_is_looked_for_can_be_found() {
    with_both_walks(|root, walk| {
        let mut random = Random(1);
        let _ = layout(root, &mut random);
        let mut guest = Guest::in_dir(root, Perms::READ_WRITE, walk);
        assert_eq!(guest.contents("outside/secret"), Ok(SECRET.to_vec()));
        assert_eq!(guest.stat("outside/secret", true).unwrap().size, SECRET.len() as u64);
        let before = outside(root);
        guest.open("outside/new", CREAT, WRITE).unwrap();
        let listed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| list(&mut guest, "outside")));
        assert!(listed.is_err());
        assert!(outside(root) != before);
    });
}

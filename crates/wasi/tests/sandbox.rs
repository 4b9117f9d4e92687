//! Escapes: whatever a guest says and whatever lies in its directory, nothing outside is read, written, made or seen.

use crate::guest::{CREAT, DIRECTORY, Guest, READ, WRITE, with_both_walks};
use hotfoot_wasi::p1::Errno;
use hotfoot_wasi::{Perms, Walk};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// A directory with a secret beside the guest's own directory `in`.
fn with_secret(root: &Path) -> std::path::PathBuf {
    let inside = root.join("in");
    std::fs::create_dir_all(inside.join("d/e")).unwrap();
    std::fs::create_dir(root.join("outside")).unwrap();
    std::fs::write(root.join("outside/secret"), "secret").unwrap();
    std::fs::write(inside.join("own"), "own").unwrap();
    inside
}

/// Tries everything that could get at `path`, which leads outside or nowhere.
fn assert_no_way(guest: &mut Guest, path: &str, walk: Walk) {
    let refused = |result: Result<(), Errno>, what: &str| {
        let error = result.expect_err(what);
        let expected =
            [Errno::Perm, Errno::Loop, Errno::Noent, Errno::Notdir, Errno::Inval, Errno::Exist, Errno::Isdir];
        assert!(expected.contains(&error), "{what} of {path} by {walk:?} gave {error:?}");
    };
    refused(guest.contents(path).map(drop), "reading");
    refused(guest.open(path, CREAT, WRITE).map(drop), "creating");
    refused(guest.open(path, DIRECTORY, READ).map(drop), "opening a directory");
    refused(guest.stat(path, true).map(drop), "stat");
    refused(guest.set_times(path, true, 0, 0, 4), "setting times");
    refused(guest.link(path, "stolen").and_then(|()| guest.contents("stolen").map(drop)), "linking");
    let _ = guest.unlink("stolen");
    for below in ["secret", "new"] {
        let path = format!("{path}/{below}");
        refused(guest.contents(&path).map(drop), "reading below");
        refused(guest.stat(&path, false).map(drop), "stat below");
        refused(guest.open(&path, CREAT, WRITE).map(drop), "creating below");
        refused(guest.mkdir(&path), "making a directory below");
        refused(guest.symlink("x", &path), "making a link below");
        refused(guest.unlink(&path), "removing below");
        refused(guest.rename("own", &path), "moving out");
        refused(guest.rename(&path, "stolen"), "moving in");
        refused(guest.link("own", &path), "linking out");
        refused(guest.link(&path, "stolen"), "linking in");
        refused(guest.readlink(&path, 100).map(drop), "reading a link below");
        refused(guest.set_times(&path, false, 0, 0, 4), "setting times below");
    }
}

fn assert_untouched(root: &Path) {
    assert_eq!(std::fs::read(root.join("outside/secret")).unwrap(), b"secret");
    assert_eq!(std::fs::read_dir(root.join("outside")).unwrap().count(), 1, "something was made outside");
    assert_eq!(std::fs::read(root.join("in/own")).unwrap(), b"own");
}

#[test]
fn dots_and_absolute_paths_do_not_lead_out() {
    with_both_walks(|root, walk| {
        let inside = with_secret(root);
        let mut guest = Guest::in_dir(&inside, Perms::READ_WRITE, walk);
        let absolute = root.join("outside");
        let paths = [
            "../outside",
            "d/../../outside",
            "d/e/../../../outside",
            "./../outside",
            "..//outside",
            "d/./../../outside",
            "../in/../outside",
            absolute.to_str().unwrap(),
            "/",
            "//",
            "/etc",
            "/proc/self/root",
        ];
        for path in paths {
            assert_no_way(&mut guest, path, walk);
        }
        // Going out and coming back is leaving too.
        assert_eq!(guest.contents("../in/own"), Err(Errno::Perm));
        assert_untouched(root);
    });
}

#[test]
fn links_do_not_lead_out() {
    with_both_walks(|root, walk| {
        let inside = with_secret(root);
        let absolute = root.join("outside");
        symlink(&absolute, inside.join("absolute")).unwrap();
        symlink("../outside", inside.join("relative")).unwrap();
        symlink("d/../../outside", inside.join("through")).unwrap();
        symlink("relative", inside.join("chain-1")).unwrap();
        symlink("d/../chain-1", inside.join("chain-2")).unwrap();
        symlink("../../../outside", inside.join("d/e/deep")).unwrap();
        symlink("d/e/deep", inside.join("to-deep")).unwrap();
        symlink("..", inside.join("up")).unwrap();
        symlink("/", inside.join("root")).unwrap();
        symlink(".", inside.join("here")).unwrap();
        symlink(inside.join("own"), inside.join("absolute-to-own")).unwrap();
        let mut guest = Guest::in_dir(&inside, Perms::READ_WRITE, walk);
        let outside = absolute.strip_prefix("/").unwrap().to_str().unwrap();
        let through_root = format!("root/{outside}");
        let paths = [
            "absolute",
            "relative",
            "through",
            "chain-1",
            "chain-2",
            "d/e/deep",
            "to-deep",
            "up/outside",
            &through_root,
            "here/here/relative",
            "d/../up/outside",
            "up",
            "root",
            "absolute/",
            "relative/.",
            "here/..",
            "chain-2/../outside",
        ];
        for path in paths {
            assert_no_way(&mut guest, path, walk);
        }
        assert_eq!(guest.contents("absolute-to-own"), Err(Errno::Perm), "absolute, even if it leads back");
        assert_eq!(guest.contents("here/here/own"), Ok(b"own".to_vec()));
        // A link's own name is the guest's; its text is never followed by these.
        assert_eq!(guest.stat("absolute", false).unwrap().filetype, 7);
        guest.rename("absolute", "renamed").unwrap();
        guest.set_times("renamed", false, 1, 1, 4).unwrap();
        guest.unlink("renamed").unwrap();
        assert_eq!(guest.mkdir("relative"), Err(Errno::Exist));
        assert_eq!(guest.rmdir("relative"), Err(Errno::Notdir));
        assert_eq!(guest.rename("d", "relative/"), Err(Errno::Notdir));
        assert_untouched(root);
    });
}

#[test]
fn a_guests_own_links_do_not_lead_out() {
    with_both_walks(|root, walk| {
        let inside = with_secret(root);
        let mut guest = Guest::in_dir(&inside, Perms::READ_WRITE, walk);
        assert_eq!(guest.symlink("/etc", "absolute"), Err(Errno::Perm));
        guest.symlink("../outside", "relative").unwrap();
        guest.symlink("../..", "d/up").unwrap();
        for path in ["relative", "d/up/outside", "d/up"] {
            assert_no_way(&mut guest, path, walk);
        }
        // Moving a directory with links makes them mean something else; they are judged when they are used.
        guest.symlink("..", "d/e/fine").unwrap();
        guest.open("d/e/fine", DIRECTORY, READ).unwrap();
        guest.rename("d/e/fine", "fine").unwrap();
        assert_no_way(&mut guest, "fine", walk);
        assert_untouched(root);
    });
}

#[test]
fn the_links_of_proc_do_not_jump() {
    for walk in [Walk::Auto, Walk::Manual] {
        let mut guest = Guest::in_dir(Path::new("/proc"), Perms::READ_WRITE, walk);
        assert!(guest.contents("version").is_ok());
        let fd = std::fs::File::open("/etc/passwd").unwrap();
        let by_number = format!("self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd));
        for path in ["self/root", "self/cwd", "self/exe", "self/root/etc/passwd", "self/cwd/Cargo.toml", &by_number] {
            assert!(matches!(guest.contents(path), Err(Errno::Perm | Errno::Loop)), "{path} by {walk:?}");
            assert!(matches!(guest.stat(path, true), Err(Errno::Perm | Errno::Loop)), "{path} by {walk:?}");
        }
        let (reader, _writer) = std::io::pipe().unwrap();
        let by_number = format!("self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
        assert!(matches!(guest.open(&by_number, 0, READ), Err(Errno::Noent | Errno::Loop)), "{walk:?}");
    }
}

#[test]
fn directories_opened_below_confine_too() {
    with_both_walks(|root, walk| {
        let inside = with_secret(root);
        let mut guest = Guest::in_dir(&inside, Perms::READ_WRITE, walk);
        let below = guest.open("d", DIRECTORY, READ).unwrap();
        let args = hotfoot_wasi::p1::PathOpen { fd: below, rights_base: READ, ..Default::default() };
        assert_eq!(guest.open_with(args, b"../own"), Err(Errno::Perm));
        guest.open_with(args, b"e/../e").unwrap();
    });
}

/// Every path of up to four parts over these, under both walks, gives the same answer; and no answer holds the secret.
#[test]
fn both_walks_agree_and_neither_leaves() {
    let parts = ["..", "d", "own", "up", "out", "abs", "loop", "."];
    let root = tempfile::tempdir().unwrap();
    let inside = with_secret(root.path());
    symlink("..", inside.join("d/up")).unwrap();
    symlink("..", inside.join("up")).unwrap();
    symlink("../outside", inside.join("out")).unwrap();
    symlink("../out", inside.join("d/out")).unwrap();
    symlink(root.path(), inside.join("abs")).unwrap();
    symlink("d/loop", inside.join("loop")).unwrap();
    symlink("../loop", inside.join("d/loop")).unwrap();
    let mut guests = [Walk::Auto, Walk::Manual].map(|walk| Guest::in_dir(&inside, Perms::READ_WRITE, walk));
    let mut count = 0;
    for number in 0..parts.len().pow(4) {
        let picked: Vec<&str> = (0..4).map(|at| parts[number / parts.len().pow(at) % parts.len()]).collect();
        for len in 1..=4 {
            let path = format!("{}{}", picked[..len].join("/"), if number % 3 == 0 { "/" } else { "" });
            let [auto, manual] = guests.each_mut().map(|guest| {
                let answers = (guest.contents(&path), guest.stat(&path, true), guest.stat(&path, false));
                assert_ne!(answers.0.as_deref(), Ok(&b"secret"[..]), "{path}");
                answers
            });
            assert_eq!(auto, manual, "{path}");
            count += 1;
        }
    }
    assert_eq!(count, 4 * 4096);
    assert_untouched(root.path());
}

/// A thread swaps a directory for a link to the outside while the guest goes through it.
#[test]
fn a_race_between_a_directory_and_a_link_is_never_won() {
    with_both_walks(|root, walk| {
        let inside = with_secret(root);
        std::fs::write(inside.join("d/secret"), "harmless").unwrap();
        symlink("../outside", inside.join("link")).unwrap();
        let mut guest = Guest::in_dir(&inside, Perms::READ_WRITE, walk);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let _ = std::fs::rename(inside.join("d"), inside.join("parked"));
                    let _ = std::fs::rename(inside.join("link"), inside.join("d"));
                    let _ = std::fs::rename(inside.join("d"), inside.join("link"));
                    let _ = std::fs::rename(inside.join("parked"), inside.join("d"));
                }
            });
            for round in 0..3000 {
                if let Ok(contents) = guest.contents("d/secret") {
                    assert_eq!(contents, b"harmless", "{walk:?}");
                }
                if let Ok(contents) = guest.contents("d/e/../secret") {
                    assert_eq!(contents, b"harmless", "{walk:?}");
                }
                let _ = guest.open(&format!("d/new-{}", round % 10), CREAT, WRITE).map(|fd| guest.close(fd));
                let _ = guest.mkdir("d/dir");
                let _ = guest.unlink(&format!("d/new-{}", round % 10));
            }
            stop.store(true, Ordering::Relaxed);
        });
        assert_untouched(root);
    });
}

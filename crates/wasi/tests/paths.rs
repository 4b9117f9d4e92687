//! Operations on paths: names, links, trailing slashes, read-only directories.

use crate::guest::{CREAT, DATA, DIRECTORY, EXCL, Guest, OUT, READ, ROOT, TRUNC, WRITE, with_both_walks};
use hotfoot_wasi::p1::{self, Errno, PathOpen};
use hotfoot_wasi::{Intent, Perms, Walk, WasiCtxBuilder};

#[test]
fn names_are_made_moved_and_removed() {
    with_both_walks(|root, walk| {
        let mut guest = Guest::in_dir(root, Perms::READ_WRITE, walk);
        guest.mkdir("a").unwrap();
        guest.mkdir("a/b/").unwrap();
        assert_eq!(guest.mkdir("a/b"), Err(Errno::Exist));
        assert_eq!(guest.mkdir("no/b"), Err(Errno::Noent));
        let fd = guest.open("a/b/f", CREAT, WRITE).unwrap();
        guest.write(fd, b"text").unwrap();
        assert_eq!(guest.rmdir("a/b"), Err(Errno::Notempty));
        guest.link("a/b/f", "a/g").unwrap();
        assert_eq!(guest.stat("a/g", false).unwrap().nlink, 2);
        guest.rename("a/g", "h").unwrap();
        assert_eq!(guest.contents("h"), Ok(b"text".to_vec()));
        assert_eq!(guest.unlink("a/b"), Err(Errno::Isdir));
        guest.unlink("a/b/f").unwrap();
        assert_eq!(guest.unlink("a/b/f"), Err(Errno::Noent));
        guest.rmdir("a/./b/../b").unwrap();
        assert_eq!(guest.rmdir("h"), Err(Errno::Notdir));
        assert_eq!(guest.stat("a", false).unwrap().filetype, 3);
        assert_eq!(guest.contents("h/"), Err(Errno::Notdir));
    });
}

#[test]
fn dots_at_the_end_are_answered_without_harm() {
    with_both_walks(|root, walk| {
        let mut guest = Guest::in_dir(root, Perms::READ_WRITE, walk);
        guest.mkdir("a").unwrap();
        guest.open("f", CREAT, 0).unwrap();
        for path in [".", "a/..", "a/.", "./", "a/../"] {
            assert_eq!(guest.mkdir(path), Err(Errno::Exist), "{path}");
            assert_eq!(guest.unlink(path), Err(Errno::Isdir), "{path}");
            assert_eq!(guest.rmdir(path), Err(Errno::Inval), "{path}");
            assert_eq!(guest.symlink("f", path), Err(Errno::Exist), "{path}");
            assert!(guest.rename(path, "x").is_err(), "{path}");
            assert!(guest.link(path, "x").is_err(), "{path}");
            assert_eq!(guest.stat(path, true).unwrap().filetype, 3, "{path}");
            guest.open(path, DIRECTORY, READ).unwrap();
        }
        for path in ["..", "../", "a/../..", "a/../../", "../x", "./../x"] {
            assert_eq!(guest.mkdir(path), Err(Errno::Perm), "{path}");
            assert_eq!(guest.unlink(path), Err(Errno::Perm), "{path}");
            assert_eq!(guest.rmdir(path), Err(Errno::Perm), "{path}");
            assert_eq!(guest.rename(path, "x"), Err(Errno::Perm), "{path}");
            assert_eq!(guest.rename("f", path), Err(Errno::Perm), "{path}");
            assert_eq!(guest.link("f", path), Err(Errno::Perm), "{path}");
            assert_eq!(guest.stat(path, false), Err(Errno::Perm), "{path}");
            assert_eq!(guest.readlink(path, 10), Err(Errno::Perm), "{path}");
            assert_eq!(guest.set_times(path, false, 0, 0, 4), Err(Errno::Perm), "{path}");
        }
    });
}

#[test]
fn links_are_followed_only_where_that_is_asked() {
    with_both_walks(|root, walk| {
        let mut guest = Guest::in_dir(root, Perms::READ_WRITE, walk);
        guest.mkdir("d").unwrap();
        let fd = guest.open("d/f", CREAT, WRITE).unwrap();
        guest.write(fd, b"text").unwrap();
        guest.symlink("d/f", "file-link").unwrap();
        guest.symlink("d", "dir-link").unwrap();
        guest.symlink("../d/./f", "d/around").unwrap();
        assert_eq!(guest.contents("file-link"), Ok(b"text".to_vec()));
        assert_eq!(guest.contents("dir-link/around"), Ok(b"text".to_vec()));
        assert_eq!(guest.open_nofollow("file-link", 0, READ), Err(Errno::Loop));
        assert!(matches!(guest.open_nofollow("dir-link", DIRECTORY, READ), Err(Errno::Loop | Errno::Notdir)));
        guest.open("dir-link", DIRECTORY, READ).unwrap();
        assert_eq!(guest.stat("file-link", false).unwrap().filetype, 7);
        assert_eq!(guest.stat("file-link", true).unwrap().size, 4);
        assert_eq!(guest.stat("dir-link", true).unwrap().filetype, 3);
        assert_eq!(guest.stat("dir-link/", false).unwrap().filetype, 3);
        assert_eq!(guest.readlink("d/around", 100), Ok(b"../d/./f".to_vec()));
        assert_eq!(guest.readlink("d/around", 4), Ok(b"../d".to_vec()));
        assert_eq!(guest.readlink("d/f", 4), Err(Errno::Inval));
        assert_eq!(guest.readlink("dir-link/", 4), Err(Errno::Inval));
        guest.link("file-link", "hard").unwrap();
        assert_eq!(guest.stat("hard", false).unwrap().filetype, 7, "the link itself gets the name");
        let flags =
            |ctx: &mut _, mem: &mut p1::GuestMemory<'_>| p1::path_link(ctx, mem, ROOT, 1, DATA, 1, ROOT, DATA, 1);
        assert_eq!(guest.call(flags), Err(Errno::Inval));
        guest.unlink("dir-link").unwrap();
        assert_eq!(guest.contents("d/f"), Ok(b"text".to_vec()));
    });
}

#[test]
fn creating_through_a_dangling_link_makes_its_target() {
    with_both_walks(|root, walk| {
        let mut guest = Guest::in_dir(root, Perms::READ_WRITE, walk);
        guest.mkdir("d").unwrap();
        guest.symlink("d/made", "link").unwrap();
        assert_eq!(guest.contents("link"), Err(Errno::Noent));
        assert_eq!(guest.open("link", CREAT | EXCL, WRITE), Err(Errno::Exist));
        guest.open("link", CREAT, WRITE).unwrap();
        assert!(root.join("d/made").is_file());
        assert_eq!(guest.open("new/", CREAT, WRITE), Err(Errno::Isdir));
        assert_eq!(guest.open("d/", CREAT, READ), Err(Errno::Isdir));
    });
}

#[test]
fn loops_end() {
    with_both_walks(|root, walk| {
        let mut guest = Guest::in_dir(root, Perms::READ_WRITE, walk);
        guest.symlink("self", "self").unwrap();
        guest.symlink("b", "a").unwrap();
        guest.symlink("a", "b").unwrap();
        guest.symlink("grow/x", "grow").unwrap();
        for path in ["self", "a", "b", "a/x", "self/", "grow", "grow/y"] {
            assert_eq!(guest.contents(path), Err(Errno::Loop), "{path}");
            assert_eq!(guest.stat(path, true), Err(Errno::Loop), "{path}");
            assert_eq!(
                guest.open(path, CREAT, WRITE),
                if path.ends_with('/') { Err(Errno::Isdir) } else { Err(Errno::Loop) }
            );
        }
        // Forty links are followed, as in the kernel; one more is a loop.
        std::fs::write(root.join("chain-0"), "end").unwrap();
        for at in 1..=41 {
            guest.symlink(&format!("chain-{}", at - 1), &format!("chain-{at}")).unwrap();
        }
        assert_eq!(guest.contents("chain-40"), Ok(b"end".to_vec()));
        assert_eq!(guest.contents("chain-41"), Err(Errno::Loop));
    });
}

#[test]
fn trailing_slashes_insist_on_directories() {
    with_both_walks(|root, walk| {
        let mut guest = Guest::in_dir(root, Perms::READ_WRITE, walk);
        guest.open("f", CREAT, 0).unwrap();
        guest.mkdir("d").unwrap();
        assert_eq!(guest.unlink("f/"), Err(Errno::Notdir));
        assert_eq!(guest.unlink("d/"), Err(Errno::Isdir));
        assert_eq!(guest.rmdir("f/"), Err(Errno::Notdir));
        assert_eq!(guest.rename("f/", "g"), Err(Errno::Notdir));
        assert_eq!(guest.rename("f", "g/"), Err(Errno::Notdir));
        assert_eq!(guest.symlink("f", "new/"), Err(Errno::Noent));
        assert_eq!(guest.link("f", "new/"), Err(Errno::Noent));
        assert_eq!(guest.link("f/", "new"), Err(Errno::Notdir));
        assert_eq!(guest.link("d/", "new"), Err(Errno::Perm));
        assert_eq!(guest.stat("f/", false), Err(Errno::Notdir));
        assert_eq!(guest.set_times("f///", false, 0, 0, 4), Err(Errno::Notdir));
        guest.rename("d/", "e//").unwrap();
        guest.rmdir("e///").unwrap();
    });
}

#[test]
fn paths_that_mean_nothing_are_refused() {
    with_both_walks(|root, walk| {
        let mut guest = Guest::in_dir(root, Perms::READ_WRITE, walk);
        let open = |guest: &mut Guest, path: &[u8]| guest.open_with(PathOpen { fd: ROOT, ..PathOpen::default() }, path);
        assert_eq!(open(&mut guest, b""), Err(Errno::Noent));
        assert_eq!(open(&mut guest, b"a\0b"), Err(Errno::Inval));
        assert_eq!(open(&mut guest, b"bad\xff"), Err(Errno::Ilseq));
        assert_eq!(open(&mut guest, &[b'a'; 4097]), Err(Errno::Nametoolong));
        assert_eq!(open(&mut guest, &[b'a'; 256]), Err(Errno::Nametoolong));
        assert_eq!(guest.mkdir(""), Err(Errno::Noent));
        assert_eq!(guest.unlink("a\0"), Err(Errno::Inval));
        assert_eq!(guest.stat("", true), Err(Errno::Noent));
        let args = PathOpen { fd: ROOT, dirflags: 2, ..PathOpen::default() };
        assert_eq!(guest.open_with(args, b"."), Err(Errno::Inval));
        let deep = "a/".repeat(2000);
        assert_eq!(guest.stat(&deep, true), Err(Errno::Noent));
        let dots = "./".repeat(2000);
        assert_eq!(guest.stat(&dots, true).unwrap().filetype, 3);
        let slashes = format!(".{}", "/".repeat(4000));
        assert_eq!(guest.stat(&slashes, true).unwrap().filetype, 3);
    });
}

#[test]
fn a_read_only_directory_is_read_only_whatever_the_call() {
    with_both_walks(|root, walk| {
        std::fs::write(root.join("f"), "text").unwrap();
        std::fs::create_dir(root.join("d")).unwrap();
        let mut guest = Guest::in_dir(root, Perms::READ_ONLY, walk);
        assert_eq!(guest.contents("f"), Ok(b"text".to_vec()));
        let denied = [
            guest.open("f", 0, WRITE).map(drop),
            guest.open("f", TRUNC, READ).map(drop),
            guest.open("new", CREAT, READ).map(drop),
            guest.mkdir("new"),
            guest.rmdir("d"),
            guest.unlink("f"),
            guest.rename("f", "g"),
            guest.link("f", "g"),
            guest.symlink("f", "g"),
            guest.set_times("f", true, 0, 0, 4),
            p1::fd_filestat_set_times(&mut guest.ctx, ROOT, 0, 0, 4),
        ];
        assert_eq!(denied, [Err(Errno::Rofs); 11]);
        let below = guest.open("d", DIRECTORY, 0).unwrap();
        let args = PathOpen { fd: below, oflags: CREAT, rights_base: WRITE, ..PathOpen::default() };
        assert_eq!(guest.open_with(args, b"new"), Err(Errno::Rofs), "what is opened inherits");
        let file = guest.open("f", 0, READ).unwrap();
        assert_eq!(p1::fd_filestat_set_times(&mut guest.ctx, file, 0, 0, 4), Err(Errno::Rofs));
        assert_eq!(p1::fd_filestat_set_size(&mut guest.ctx, file, 0), Err(Errno::Notcapable));
        assert_eq!(std::fs::read(root.join("f")).unwrap(), b"text");
    });
}

#[test]
fn nothing_is_carried_out_of_a_read_only_directory_into_a_writable_one() {
    let (closed, open) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(closed.path().join("f"), "text").unwrap();
    let mut builder = WasiCtxBuilder::new();
    builder.preopened_dir(closed.path(), "/ro", Perms::READ_ONLY).unwrap();
    builder.preopened_dir(open.path(), "/rw", Perms::READ_WRITE).unwrap();
    let mut guest = Guest::new(&mut builder);
    let (path, len) = guest.put(DATA, b"f");
    for (from, to) in [(3, 4), (4, 3)] {
        let linked = guest.call(|ctx, mem| p1::path_link(ctx, mem, from, 0, path, len, to, path, len));
        let renamed = guest.call(|ctx, mem| p1::path_rename(ctx, mem, from, path, len, to, path, len));
        assert_eq!((linked, renamed), (Err(Errno::Rofs), Err(Errno::Rofs)), "{from} to {to}");
    }
}

#[test]
fn renames_and_links_work_across_writable_preopens() {
    let parent = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| parent.path().join(name));
    std::fs::create_dir(&one).unwrap();
    std::fs::create_dir(&two).unwrap();
    std::fs::write(one.join("f"), "text").unwrap();
    let mut builder = WasiCtxBuilder::new();
    builder.preopened_dir(&one, "/1", Perms::READ_WRITE).unwrap().preopened_dir(&two, "/2", Perms::READ_WRITE).unwrap();
    let mut guest = Guest::new(&mut builder);
    let (path, len) = guest.put(DATA, b"f");
    guest.call(|ctx, mem| p1::path_link(ctx, mem, 3, 0, path, len, 4, path, len)).unwrap();
    assert_eq!(std::fs::read(two.join("f")).unwrap(), b"text");
    std::fs::remove_file(two.join("f")).unwrap();
    guest.call(|ctx, mem| p1::path_rename(ctx, mem, 3, path, len, 4, path, len)).unwrap();
    assert!(!one.join("f").exists() && two.join("f").exists());
}

#[test]
fn single_intents_can_be_taken_away() {
    let root = tempfile::tempdir().unwrap();
    let perms = Perms::READ_WRITE.without(Intent::Remove).without(Intent::Truncate);
    let mut guest = Guest::in_dir(root.path(), perms, Walk::Auto);
    let fd = guest.open("log", CREAT, WRITE).unwrap();
    guest.write(fd, b"line").unwrap();
    assert_eq!(guest.unlink("log"), Err(Errno::Rofs));
    assert_eq!(guest.open("log", TRUNC, WRITE), Err(Errno::Rofs));
    assert_eq!(p1::fd_filestat_set_size(&mut guest.ctx, fd, 0), Err(Errno::Rofs));
    let mut guest = Guest::in_dir(root.path(), Perms::READ_WRITE.without(Intent::Read), Walk::Auto);
    assert_eq!(guest.contents("log"), Err(Errno::Acces));
    assert_eq!(guest.stat("log", true), Err(Errno::Acces));
    assert_eq!(guest.call(|ctx, mem| p1::fd_readdir(ctx, mem, ROOT, DATA, 100, 0, OUT)), Err(Errno::Acces));
}

/// Our own walk holds a descriptor for each directory that it is inside of, so it goes to a certain depth. The kernel's
/// has no such limit. Beyond it a guest can still go step by step.
#[test]
fn our_own_walk_goes_as_deep_as_is_allowed_and_no_deeper() {
    let root = tempfile::tempdir().unwrap();
    let deep = |depth: usize| vec!["d"; depth].join("/");
    std::fs::create_dir_all(root.path().join(deep(129))).unwrap();
    std::fs::write(root.path().join(deep(128)).join("f"), "text").unwrap();
    std::fs::write(root.path().join(deep(129)).join("f"), "text").unwrap();
    let mut guest = Guest::in_dir(root.path(), Perms::READ_WRITE, Walk::Manual);
    assert_eq!(guest.contents(&format!("{}/f", deep(128))), Ok(b"text".to_vec()));
    assert_eq!(guest.contents(&format!("{}/f", deep(129))), Err(Errno::Nametoolong));
    assert_eq!(guest.contents(&format!("{}/../../d/d/f", deep(128))), Ok(b"text".to_vec()));
    let mut guest = Guest::in_dir(root.path(), Perms::READ_WRITE, Walk::Auto);
    assert_eq!(guest.contents(&format!("{}/f", deep(129))), Ok(b"text".to_vec()));
}

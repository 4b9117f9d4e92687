//! `fd_readdir`: cookies, cut entries, names.

use crate::guest::{CREAT, DATA, DIRECTORY, Guest, OUT, ROOT};
use hotfoot_wasi::p1::{self, Errno};
use hotfoot_wasi::{Perms, Walk};
use std::os::unix::ffi::OsStrExt as _;

#[derive(Debug)]
struct Entry {
    next: u64,
    ino: u64,
    kind: u8,
    name: String,
}

/// One call: the whole entries in the buffer, and whether there are no more.
fn readdir(guest: &mut Guest, fd: u32, buf_len: u32, cookie: u64) -> (Vec<Entry>, bool) {
    guest.call(|ctx, mem| p1::fd_readdir(ctx, mem, fd, DATA, buf_len, cookie, OUT)).unwrap();
    let used = guest.u32_at(OUT);
    let mut at = DATA;
    let mut entries = Vec::new();
    while at + 24 <= DATA + used {
        let name_len = guest.u32_at(at + 16);
        if at + 24 + name_len > DATA + used {
            break;
        }
        let name = String::from_utf8(guest.bytes[at as usize + 24..][..name_len as usize].to_vec()).unwrap();
        entries.push(Entry {
            next: guest.u64_at(at),
            ino: guest.u64_at(at + 8),
            kind: guest.bytes[at as usize + 20],
            name,
        });
        at += 24 + name_len;
    }
    (entries, used < buf_len)
}

/// The names from `cookie` on, as a C library reads them.
fn names(guest: &mut Guest, fd: u32, buf_len: u32, mut cookie: u64) -> Vec<String> {
    let mut names = Vec::new();
    loop {
        let (entries, end) = readdir(guest, fd, buf_len, cookie);
        cookie = entries.last().map_or(cookie, |entry| entry.next);
        names.extend(entries.into_iter().map(|entry| entry.name));
        if end {
            return names;
        }
    }
}

#[test]
fn an_empty_directory_has_itself_and_a_parent_that_says_nothing() {
    let root = tempfile::tempdir().unwrap();
    let mut guest = Guest::in_dir(root.path(), Perms::READ_WRITE, Walk::Auto);
    let (mut entries, end) = readdir(&mut guest, ROOT, 4096, 0);
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(end);
    assert_eq!(
        entries.iter().map(|entry| (entry.name.as_str(), entry.kind)).collect::<Vec<_>>(),
        [(".", 3), ("..", 3)]
    );
    let own = guest.stat(".", false).unwrap().ino;
    assert_eq!(
        (entries[0].ino, entries[1].ino),
        (own, own),
        "the number of what is above a preopen is not the guest's"
    );
}

#[test]
fn every_name_is_seen_once_whatever_the_buffer() {
    let root = tempfile::tempdir().unwrap();
    for at in 0..500 {
        std::fs::write(root.path().join(format!("file-{at}")), "").unwrap();
    }
    let mut guest = Guest::in_dir(root.path(), Perms::READ_ONLY, Walk::Auto);
    for buf_len in [40, 100, 4096, 65536] {
        let mut names = names(&mut guest, ROOT, buf_len, 0);
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 502, "{buf_len}");
    }
}

#[test]
fn cookies_resume_in_any_order() {
    let root = tempfile::tempdir().unwrap();
    for at in 0..50 {
        std::fs::write(root.path().join(format!("file-{at}")), "").unwrap();
    }
    let mut guest = Guest::in_dir(root.path(), Perms::READ_WRITE, Walk::Auto);
    let (all, _) = readdir(&mut guest, ROOT, 65536, 0);
    for at in [40, 3, 25, 51, 0] {
        let rest = names(&mut guest, ROOT, 300, all[at].next);
        assert_eq!(rest, all[at + 1..].iter().map(|entry| entry.name.clone()).collect::<Vec<_>>(), "from {at}");
    }
    assert_eq!(
        guest.call(|ctx, mem| p1::fd_readdir(ctx, mem, ROOT, DATA, 100, u64::MAX, OUT)),
        Err(Errno::Inval),
        "a cookie that never was"
    );
}

#[test]
fn removing_while_listing_skips_nothing() {
    let root = tempfile::tempdir().unwrap();
    for at in 0..300 {
        std::fs::write(root.path().join(format!("file-{at}")), "").unwrap();
    }
    let mut guest = Guest::in_dir(root.path(), Perms::READ_WRITE, Walk::Auto);
    let mut cookie = 0;
    loop {
        let (entries, end) = readdir(&mut guest, ROOT, 256, cookie);
        cookie = entries.last().map_or(cookie, |entry| entry.next);
        for entry in entries.iter().filter(|entry| entry.name.starts_with("file")) {
            guest.unlink(&entry.name).unwrap();
        }
        if end {
            break;
        }
    }
    assert_eq!(names(&mut guest, ROOT, 4096, 0).len(), 2);
}

#[test]
fn starting_again_sees_what_is_new() {
    let root = tempfile::tempdir().unwrap();
    let mut guest = Guest::in_dir(root.path(), Perms::READ_WRITE, Walk::Auto);
    assert_eq!(names(&mut guest, ROOT, 4096, 0).len(), 2);
    let file = guest.open("new", CREAT, 0).unwrap();
    guest.mkdir("dir").unwrap();
    guest.symlink("new", "link").unwrap();
    let (entries, _) = readdir(&mut guest, ROOT, 4096, 0);
    let kind = |name: &str| entries.iter().find(|entry| entry.name == name).unwrap();
    assert_eq!((kind("new").kind, kind("dir").kind, kind("link").kind), (4, 3, 7));
    assert_eq!(kind("new").ino, guest.fd_stat(file).unwrap().ino);
    let dir = guest.open("dir", DIRECTORY, 0).unwrap();
    assert_eq!(names(&mut guest, dir, 4096, 0).len(), 2);
}

#[test]
fn a_buffer_too_small_for_anything_is_filled_to_its_end() {
    let root = tempfile::tempdir().unwrap();
    let mut guest = Guest::in_dir(root.path(), Perms::READ_WRITE, Walk::Auto);
    for buf_len in [0, 1, 23, 24] {
        let (entries, _) = readdir(&mut guest, ROOT, buf_len, 0);
        assert!(entries.is_empty());
        assert_eq!(guest.u32_at(OUT), buf_len);
    }
    assert_eq!(guest.call(|ctx, mem| p1::fd_readdir(ctx, mem, ROOT, u32::MAX, 10, 0, OUT)), Err(Errno::Fault));
}

#[test]
fn names_that_are_not_utf8_are_left_out() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join(std::ffi::OsStr::from_bytes(b"bad\xff")), "").unwrap();
    std::fs::write(root.path().join("good é"), "").unwrap();
    let mut guest = Guest::in_dir(root.path(), Perms::READ_WRITE, Walk::Auto);
    let mut names = names(&mut guest, ROOT, 4096, 0);
    names.sort();
    assert_eq!(names, [".", "..", "good é"]);
}

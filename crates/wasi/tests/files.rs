//! Open files: reading, writing, seeking, sizes, times, flags.

use crate::guest::{CREAT, DATA, DIRECTORY, EXCL, Guest, OUT, READ, ROOT, TRUNC, WRITE, with_both_walks};
use hotfoot_wasi::p1::{self, Errno, PathOpen};
use hotfoot_wasi::{Perms, Walk};
use std::path::Path;

fn guest(root: &Path) -> Guest {
    Guest::in_dir(root, Perms::READ_WRITE, Walk::Auto)
}

#[test]
fn bytes_come_back_and_offsets_move() {
    let root = tempfile::tempdir().unwrap();
    let mut guest = guest(root.path());
    let fd = guest.open("f", CREAT, READ | WRITE).unwrap();
    assert_eq!(guest.write(fd, b"0123456789"), Ok(10));
    assert_eq!(guest.seek(fd, -4, 2), Ok(6));
    assert_eq!(guest.read(fd, 2), Ok(b"67".to_vec()));
    guest.call(|ctx, mem| p1::fd_tell(ctx, mem, fd, OUT)).unwrap();
    assert_eq!(guest.u64_at(OUT), 8);
    assert_eq!(guest.seek(fd, -3, 1), Ok(5));
    assert_eq!(guest.seek(fd, -1, 0), Err(Errno::Inval));
    assert_eq!(guest.seek(fd, -11, 2), Err(Errno::Inval));
    assert_eq!(guest.seek(fd, i64::MIN, 1), Err(Errno::Inval));
    assert_eq!(guest.seek(fd, 0, 3), Err(Errno::Inval));
    assert_eq!(guest.seek(fd, 1 << 33, 0), Ok(1 << 33));
    assert_eq!(guest.read(fd, 1), Ok(vec![]));
}

#[test]
fn positioned_reads_and_writes_leave_the_offset() {
    let root = tempfile::tempdir().unwrap();
    let mut guest = guest(root.path());
    let fd = guest.open("f", CREAT, READ | WRITE).unwrap();
    guest.write(fd, b"0123456789").unwrap();
    let data = guest.put(DATA, b"ab");
    let (iovs, count) = guest.iovs(&[data]);
    guest.call(|ctx, mem| p1::fd_pwrite(ctx, mem, fd, iovs, count, 3, OUT)).unwrap();
    guest.call(|ctx, mem| p1::fd_pread(ctx, mem, fd, iovs, count, 4, OUT)).unwrap();
    assert_eq!(&guest.bytes[DATA as usize..][..2], b"b5");
    assert_eq!(guest.seek(fd, 0, 1), Ok(10));
    for offset in [u64::MAX, 1 << 63] {
        assert_eq!(guest.call(|ctx, mem| p1::fd_pread(ctx, mem, fd, iovs, count, offset, OUT)), Err(Errno::Inval));
        assert_eq!(guest.call(|ctx, mem| p1::fd_pwrite(ctx, mem, fd, iovs, count, offset, OUT)), Err(Errno::Inval));
    }
    assert_eq!(std::fs::read(root.path().join("f")).unwrap(), b"012ab56789");
}

#[test]
fn a_vector_of_buffers_is_filled_in_order() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("f"), "0123456789").unwrap();
    let mut guest = guest(root.path());
    let fd = guest.open("f", 0, READ).unwrap();
    let (iovs, count) = guest.iovs(&[(DATA + 64, 3), (DATA, 0), (DATA, 2), (DATA + 32, 20)]);
    guest.call(|ctx, mem| p1::fd_read(ctx, mem, fd, iovs, count, OUT)).unwrap();
    assert_eq!(guest.u32_at(OUT), 10);
    let at = |offset: usize, len: usize| guest.bytes[DATA as usize + offset..][..len].to_vec();
    assert_eq!((at(64, 3), at(0, 2), at(32, 5)), (b"012".to_vec(), b"34".to_vec(), b"56789".to_vec()));
}

#[test]
fn access_is_what_was_asked_for() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("f"), "x").unwrap();
    let mut guest = guest(root.path());
    let reader = guest.open("f", 0, READ).unwrap();
    assert_eq!(guest.write(reader, b"y"), Err(Errno::Badf));
    assert_eq!(p1::fd_filestat_set_size(&mut guest.ctx, reader, 0), Err(Errno::Notcapable));
    let writer = guest.open("f", 0, WRITE).unwrap();
    assert_eq!(guest.read(writer, 1), Err(Errno::Badf));
    let neither = guest.open("f", 0, 0).unwrap();
    assert_eq!((guest.read(neither, 1), guest.write(neither, b"y")), (Err(Errno::Badf), Err(Errno::Badf)));
}

#[test]
fn creating_exclusively_and_truncating() {
    let root = tempfile::tempdir().unwrap();
    let mut guest = guest(root.path());
    assert_eq!(guest.open("f", 0, READ), Err(Errno::Noent));
    let fd = guest.open("f", CREAT | EXCL, WRITE).unwrap();
    guest.write(fd, b"old").unwrap();
    assert_eq!(guest.open("f", CREAT | EXCL, WRITE), Err(Errno::Exist));
    guest.open("f", TRUNC, WRITE).unwrap();
    assert_eq!(guest.contents("f"), Ok(vec![]));
    assert_eq!(guest.open(".", CREAT | DIRECTORY, READ), Err(Errno::Inval));
    assert_eq!(guest.open("f", 1 << 4, READ), Err(Errno::Inval));
    assert_eq!(guest.open("f", DIRECTORY, READ), Err(Errno::Notdir));
    assert_eq!(guest.open(".", DIRECTORY, READ | WRITE), Err(Errno::Isdir));
}

#[test]
fn append_writes_at_the_end_until_it_is_turned_off() {
    let root = tempfile::tempdir().unwrap();
    let mut guest = guest(root.path());
    let args = PathOpen { fd: ROOT, oflags: CREAT, rights_base: READ | WRITE, fdflags: 1, ..PathOpen::default() };
    let fd = guest.open_with(args, b"f").unwrap();
    guest.write(fd, b"one").unwrap();
    guest.seek(fd, 0, 0).unwrap();
    guest.write(fd, b"two").unwrap();
    assert_eq!(guest.fdstat(fd).unwrap().1, 1);
    p1::fd_fdstat_set_flags(&mut guest.ctx, fd, 0).unwrap();
    assert_eq!(guest.fdstat(fd).unwrap().1, 0);
    guest.seek(fd, 0, 0).unwrap();
    guest.write(fd, b"O").unwrap();
    assert_eq!(guest.contents("f"), Ok(b"Onetwo".to_vec()));
    assert_eq!(p1::fd_fdstat_set_flags(&mut guest.ctx, fd, 16), Err(Errno::Notsup));
}

#[test]
fn synchronous_flags_are_the_kernels() {
    let root = tempfile::tempdir().unwrap();
    let mut guest = guest(root.path());
    for (fdflags, seen) in [(2, 2), (16, 26), (8, 26), (4, 4)] {
        let args = PathOpen { fd: ROOT, oflags: CREAT, rights_base: WRITE, fdflags, ..PathOpen::default() };
        let fd = guest.open_with(args, b"f").unwrap();
        assert_eq!(guest.fdstat(fd).unwrap().1, seen, "{fdflags}");
    }
    let args = PathOpen { fd: ROOT, fdflags: 32, ..PathOpen::default() };
    assert_eq!(guest.open_with(args, b"f"), Err(Errno::Inval));
}

#[test]
fn sizes_can_be_set_and_space_allocated() {
    let root = tempfile::tempdir().unwrap();
    let mut guest = guest(root.path());
    let fd = guest.open("f", CREAT, READ | WRITE).unwrap();
    p1::fd_filestat_set_size(&mut guest.ctx, fd, 100).unwrap();
    assert_eq!(guest.fd_stat(fd).unwrap().size, 100);
    match p1::fd_allocate(&mut guest.ctx, fd, 50, 100) {
        Ok(()) => assert_eq!(guest.fd_stat(fd).unwrap().size, 150),
        Err(error) => assert_eq!(error, Errno::Notsup),
    }
    assert_eq!(p1::fd_filestat_set_size(&mut guest.ctx, fd, u64::MAX), Err(Errno::Inval));
    assert_eq!(p1::fd_allocate(&mut guest.ctx, fd, u64::MAX, 1), Err(Errno::Inval));
    assert_eq!(p1::fd_allocate(&mut guest.ctx, fd, 0, 0), Err(Errno::Inval));
    for advice in 0..6 {
        assert_eq!(p1::fd_advise(&mut guest.ctx, fd, 0, 0, advice), Ok(()));
    }
    assert_eq!(p1::fd_advise(&mut guest.ctx, fd, 0, 0, 6), Err(Errno::Inval));
    assert_eq!(p1::fd_advise(&mut guest.ctx, fd, u64::MAX, u64::MAX, 0), Err(Errno::Inval));
    assert_eq!((p1::fd_sync(&mut guest.ctx, fd), p1::fd_datasync(&mut guest.ctx, fd)), (Ok(()), Ok(())));
}

#[test]
fn times_can_be_set_on_files_directories_and_links() {
    with_both_walks(|root, walk| {
        std::fs::write(root.join("f"), "x").unwrap();
        std::os::unix::fs::symlink("f", root.join("link")).unwrap();
        let mut guest = Guest::in_dir(root, Perms::READ_WRITE, walk);
        guest.set_times("link", true, 1_000_000_007, 2_000_000_009, 1 | 4).unwrap();
        let stat = guest.stat("f", false).unwrap();
        assert_eq!((stat.atim, stat.mtim), (1_000_000_007, 2_000_000_009));
        guest.set_times("link", false, 5, 6, 1 | 4).unwrap();
        assert_eq!(guest.stat("link", false).unwrap().mtim, 6);
        assert_eq!(guest.stat("f", false).unwrap().mtim, 2_000_000_009);
        guest.set_times("f", false, 0, 0, 8).unwrap();
        let stat = guest.stat("f", false).unwrap();
        assert_eq!(stat.atim, 1_000_000_007);
        assert!(stat.mtim > 1_600_000_000_000_000_000);
        let fd = guest.open("f", 0, READ).unwrap();
        p1::fd_filestat_set_times(&mut guest.ctx, fd, 7, 8, 1 | 4).unwrap();
        assert_eq!(guest.fd_stat(fd).unwrap().mtim, 8);
        p1::fd_filestat_set_times(&mut guest.ctx, ROOT, 7, 9, 4).unwrap();
        assert_eq!(guest.stat(".", true).unwrap().mtim, 9);
        for flags in [3, 12, 16, u32::MAX] {
            assert_eq!(guest.set_times("f", false, 0, 0, flags), Err(Errno::Inval), "{flags}");
            assert_eq!(p1::fd_filestat_set_times(&mut guest.ctx, fd, 0, 0, flags), Err(Errno::Inval), "{flags}");
        }
        // Not every file system keeps the year 2554, but none may make the call go wrong.
        let _ = guest.set_times("f", false, u64::MAX, u64::MAX, 1 | 4);
        guest.stat("f", false).unwrap();
    });
}

/// Opening a pipe waits for its other end, unless one says otherwise; a guest could hang its host so.
#[test]
fn a_named_pipe_does_not_hold_who_opens_it() {
    with_both_walks(|root, walk| {
        let path = root.join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        let mut guest = Guest::in_dir(root, Perms::READ_WRITE, walk);
        assert_eq!(guest.open("pipe", 0, WRITE), Err(Errno::Nxio), "nobody reads");
        let reader = guest.open("pipe", 0, READ).unwrap();
        assert_eq!(guest.read(reader, 1), Ok(vec![]), "nobody writes");
        let writer = guest.open("pipe", 0, WRITE).unwrap();
        assert_eq!(guest.write(writer, b"through"), Ok(7));
        assert_eq!(guest.read(reader, 10), Ok(b"through".to_vec()));
        assert_eq!((guest.fdstat(reader).unwrap().1, guest.fd_stat(reader).unwrap().filetype), (0, 0));
        assert_eq!(guest.seek(reader, 0, 0), Err(Errno::Spipe));
        p1::fd_fdstat_set_flags(&mut guest.ctx, reader, 4).unwrap();
        assert_eq!(guest.read(reader, 1), Err(Errno::Again));
    });
}

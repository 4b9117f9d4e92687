//! Descriptor numbers, rights, preopens.

use crate::guest::{CREAT, DATA, DIRECTORY, Guest, OUT, READ, ROOT, TRUNC, WRITE};
use hotfoot_wasi::p1::{self, Errno, PathOpen, rights};
use hotfoot_wasi::{Perms, WasiCtxBuilder};

fn guest() -> (tempfile::TempDir, Guest) {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("f"), "contents").unwrap();
    let guest = Guest::new(WasiCtxBuilder::new().preopened_dir(root.path(), "/guest", Perms::READ_WRITE).unwrap());
    (root, guest)
}

#[test]
fn preopens_are_found_by_counting_from_three() {
    let (_root, mut guest) = guest();
    guest.call(|ctx, mem| p1::fd_prestat_get(ctx, mem, 3, OUT)).unwrap();
    assert_eq!((guest.u32_at(OUT), guest.u32_at(OUT + 4)), (0, 6));
    guest.call(|ctx, mem| p1::fd_prestat_dir_name(ctx, mem, 3, DATA, 6)).unwrap();
    assert_eq!(&guest.bytes[DATA as usize..][..7], b"/guest\0");
    assert_eq!(guest.call(|ctx, mem| p1::fd_prestat_dir_name(ctx, mem, 3, DATA, 5)), Err(Errno::Nametoolong));
    for fd in [0, 1, 2, 4, u32::MAX] {
        assert_eq!(guest.call(|ctx, mem| p1::fd_prestat_get(ctx, mem, fd, OUT)), Err(Errno::Badf));
        assert_eq!(guest.call(|ctx, mem| p1::fd_prestat_dir_name(ctx, mem, fd, OUT, 9)), Err(Errno::Badf));
    }
    let opened = guest.open(".", DIRECTORY, 0).unwrap();
    assert_eq!(guest.call(|ctx, mem| p1::fd_prestat_get(ctx, mem, opened, OUT)), Err(Errno::Badf));
}

#[test]
fn numbers_are_reused_lowest_first_and_renumbering_closes() {
    let (_root, mut guest) = guest();
    let [a, b, c] = [0; 3].map(|_| guest.open("f", 0, READ).unwrap());
    assert_eq!([a, b, c], [4, 5, 6]);
    guest.close(a).unwrap();
    assert_eq!(guest.close(a), Err(Errno::Badf));
    assert_eq!(guest.open("f", 0, READ), Ok(a));
    guest.read(c, 3).unwrap();
    p1::fd_renumber(&mut guest.ctx, c, a).unwrap();
    assert_eq!(guest.read(a, 3), Ok(b"ten".to_vec()));
    assert_eq!(guest.read(c, 1), Err(Errno::Badf));
    assert_eq!(p1::fd_renumber(&mut guest.ctx, a, c), Err(Errno::Badf));
    assert_eq!(p1::fd_renumber(&mut guest.ctx, c, a), Err(Errno::Badf));
    assert_eq!(p1::fd_renumber(&mut guest.ctx, a, a), Ok(()));
    guest.close(ROOT).unwrap();
    assert_eq!(guest.open("f", 0, READ), Err(Errno::Badf));
}

#[test]
fn open_descriptors_are_bounded() {
    let root = tempfile::tempdir().unwrap();
    let mut builder = WasiCtxBuilder::new();
    builder.max_descriptors(6).preopened_dir(root.path(), "/", Perms::READ_WRITE).unwrap();
    let mut guest = Guest::new(&mut builder);
    assert_eq!((guest.open(".", 0, 0), guest.open(".", 0, 0)), (Ok(4), Ok(5)));
    assert_eq!(guest.open(".", 0, 0), Err(Errno::Mfile));
    guest.close(4).unwrap();
    assert_eq!(guest.open(".", 0, 0), Ok(4));
}

#[test]
fn rights_given_up_are_gone_here_and_below() {
    let (_root, mut guest) = guest();
    let fd = guest.open("f", 0, READ | WRITE).unwrap();
    let (filetype, _, base, inheriting) = guest.fdstat(fd).unwrap();
    assert_eq!((filetype, base, inheriting), (4, rights::FILE, 0));
    p1::fd_fdstat_set_rights(&mut guest.ctx, fd, base & !(READ | rights::FD_SEEK), 0).unwrap();
    assert_eq!(guest.read(fd, 1), Err(Errno::Badf));
    assert_eq!(guest.seek(fd, 0, 0), Err(Errno::Notcapable));
    assert_eq!(guest.seek(fd, 0, 1), Ok(0));
    assert_eq!(p1::fd_fdstat_set_rights(&mut guest.ctx, fd, base, 0), Err(Errno::Notcapable));

    let (_, flags, base, inheriting) = guest.fdstat(ROOT).unwrap();
    assert_eq!((flags, base, inheriting), (0, rights::DIRECTORY, rights::DIRECTORY | rights::FILE));
    let kept = base & !rights::PATH_FILESTAT_SET_SIZE & !rights::PATH_UNLINK_FILE;
    p1::fd_fdstat_set_rights(&mut guest.ctx, ROOT, kept, inheriting & !WRITE & !rights::PATH_SYMLINK).unwrap();
    assert_eq!(guest.open("f", TRUNC, READ), Err(Errno::Notcapable));
    assert_eq!(guest.unlink("f"), Err(Errno::Notcapable));
    let below = guest.open(".", DIRECTORY, 0).unwrap();
    assert_eq!(guest.fdstat(below).unwrap().2 & rights::PATH_SYMLINK, 0);
    let file = guest.open("f", 0, READ | WRITE).unwrap();
    assert_eq!(guest.write(file, b"x"), Err(Errno::Badf));
}

#[test]
fn kinds_answer_only_what_they_can() {
    let (_root, mut guest) = guest();
    let file = guest.open("f", CREAT, READ | WRITE).unwrap();
    let below_file = PathOpen { fd: file, ..PathOpen::default() };
    assert_eq!(guest.open_with(below_file, b"x"), Err(Errno::Notdir));
    assert_eq!(guest.read(ROOT, 1), Err(Errno::Isdir));
    assert_eq!(guest.write(ROOT, b"x"), Err(Errno::Badf));
    assert_eq!(guest.seek(ROOT, 0, 0), Err(Errno::Badf));
    assert_eq!(p1::fd_allocate(&mut guest.ctx, ROOT, 0, 1), Err(Errno::Badf));
    assert_eq!(p1::fd_filestat_set_size(&mut guest.ctx, ROOT, 1), Err(Errno::Badf));
    assert_eq!(p1::fd_fdstat_set_flags(&mut guest.ctx, ROOT, 0), Err(Errno::Badf));
    assert_eq!(guest.call(|ctx, mem| p1::fd_readdir(ctx, mem, file, DATA, 10, 0, OUT)), Err(Errno::Notdir));
    assert_eq!(p1::sock_shutdown(&mut guest.ctx, file, 1), Err(Errno::Notsock));
    assert_eq!(p1::sock_shutdown(&mut guest.ctx, 99, 1), Err(Errno::Badf));
    assert_eq!(guest.fdstat(99), Err(Errno::Badf));
    assert_eq!(p1::fd_sync(&mut guest.ctx, ROOT), Ok(()));
}

#[test]
fn padding_is_written_as_zero() {
    let (_root, mut guest) = guest();
    guest.bytes.fill(0xff);
    guest.call(|ctx, mem| p1::fd_fdstat_get(ctx, mem, ROOT, OUT)).unwrap();
    assert_eq!(&guest.bytes[..8], [3, 0, 0, 0, 0, 0, 0, 0]);
    guest.bytes.fill(0xff);
    guest.call(|ctx, mem| p1::fd_filestat_get(ctx, mem, ROOT, OUT)).unwrap();
    assert_eq!(&guest.bytes[16..24], [3, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(guest.bytes[64], 0xff);
    guest.bytes.fill(0xff);
    guest.call(|ctx, mem| p1::fd_prestat_get(ctx, mem, ROOT, OUT)).unwrap();
    assert_eq!(&guest.bytes[..9], [0, 0, 0, 0, 6, 0, 0, 0, 0xff]);
}

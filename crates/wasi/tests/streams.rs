//! Standard streams: captured, fed, empty and real.

use crate::guest::{DATA, Guest, OUT};
use hotfoot_wasi::p1::{self, Errno, rights};
use hotfoot_wasi::{MemoryInputPipe, MemoryOutputPipe, Stdio, WasiCtxBuilder};
use std::io::{Read as _, Write as _};

#[test]
fn nothing_is_given_by_default() {
    let mut guest = Guest::new(&mut WasiCtxBuilder::new());
    assert_eq!(guest.read(0, 10), Ok(vec![]));
    assert_eq!(guest.write(1, b"lost"), Ok(4));
    assert_eq!(guest.write(2, b"lost"), Ok(4));
    assert_eq!(guest.read(3, 1), Err(Errno::Badf));
}

#[test]
fn captured_output_is_what_was_written_up_to_the_capacity() {
    let output = MemoryOutputPipe::new(8);
    let mut guest = Guest::new(WasiCtxBuilder::new().stdout(output.clone()));
    let first = guest.put(DATA, b"he");
    let second = guest.put(DATA + 100, b"llo");
    let (iovs, count) = guest.iovs(&[first, (DATA, 0), second]);
    guest.call(|ctx, mem| p1::fd_write(ctx, mem, 1, iovs, count, OUT)).unwrap();
    assert_eq!((guest.u32_at(OUT), output.contents()), (5, b"hello".to_vec()));
    assert_eq!(guest.write(1, b"world"), Ok(3));
    assert_eq!(guest.write(1, b"!"), Err(Errno::Nospc));
    assert_eq!(guest.write(1, b""), Ok(0));
    assert_eq!(output.contents(), b"hellowor");
}

#[test]
fn supplied_input_is_read_in_pieces_and_ends() {
    let mut guest = Guest::new(WasiCtxBuilder::new().stdin(MemoryInputPipe::new("abcdef")));
    assert_eq!(guest.read(0, 4), Ok(b"abcd".to_vec()));
    let (iovs, count) = guest.iovs(&[(DATA + 8, 1), (DATA, 5)]);
    guest.call(|ctx, mem| p1::fd_read(ctx, mem, 0, iovs, count, OUT)).unwrap();
    assert_eq!((guest.u32_at(OUT), guest.bytes[DATA as usize + 8], guest.bytes[DATA as usize]), (2, b'e', b'f'));
    assert_eq!(guest.read(0, 4), Ok(vec![]));
}

#[test]
fn directions_are_kept_apart() {
    let mut guest = Guest::new(&mut WasiCtxBuilder::new());
    assert_eq!(guest.write(0, b"x"), Err(Errno::Badf));
    assert_eq!(guest.read(1, 1), Err(Errno::Badf));
    assert_eq!(guest.seek(0, 0, 0), Err(Errno::Spipe));
    assert_eq!(guest.seek(1, 0, 1), Err(Errno::Spipe));
    let (_, _, base, inheriting) = guest.fdstat(0).unwrap();
    assert_eq!((base & rights::FD_READ, base & rights::FD_WRITE, inheriting), (rights::FD_READ, 0, 0));
}

#[test]
fn flags_of_a_stream_are_the_guests_own() {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut guest = Guest::new(WasiCtxBuilder::new().stdin(Stdio::Fd(reader.into())));
    p1::fd_fdstat_set_flags(&mut guest.ctx, 0, 4).unwrap();
    assert_eq!(guest.fdstat(0).unwrap().1, 4);
    assert_eq!(guest.read(0, 1), Err(Errno::Again));
    (&writer).write_all(b"x").unwrap();
    assert_eq!(guest.read(0, 1), Ok(b"x".to_vec()));
    drop(writer);
    assert_eq!(guest.read(0, 1), Ok(vec![]));
    assert_eq!(p1::fd_fdstat_set_flags(&mut guest.ctx, 0, 1 << 5), Err(Errno::Inval));
}

#[test]
fn real_descriptors_carry_bytes_and_report_a_closed_peer() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut guest = Guest::new(WasiCtxBuilder::new().stderr(Stdio::Fd(writer.into())));
    assert_eq!(guest.write(2, b"message"), Ok(7));
    let mut bytes = [0; 7];
    reader.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"message");
    drop(reader);
    assert_eq!(guest.write(2, b"message"), Err(Errno::Pipe));
}

#[test]
fn a_file_as_a_stream_is_no_terminal() {
    let file = std::fs::File::open("/dev/null").unwrap();
    let mut guest = Guest::new(WasiCtxBuilder::new().stdin(file));
    let (filetype, _, base, _) = guest.fdstat(0).unwrap();
    assert_eq!(filetype, 2);
    assert_ne!(base & rights::FD_SEEK, 0, "a character device that cannot seek would be taken for a terminal");
    assert_eq!(guest.fd_stat(0).unwrap().filetype, 2);
}

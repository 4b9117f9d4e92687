//! Sockets that the host opened.

use crate::guest::{DATA, Guest, OUT};
use hotfoot_wasi::WasiCtxBuilder;
use hotfoot_wasi::p1::{self, Errno};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};

const LISTENER: u32 = 3;

fn listening() -> (std::net::SocketAddr, Guest) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (address, Guest::new(WasiCtxBuilder::new().preopened_socket(listener).unwrap()))
}

fn accept(guest: &mut Guest, flags: u32) -> Result<u32, Errno> {
    guest.call(|ctx, mem| p1::sock_accept(ctx, mem, LISTENER, flags, OUT))?;
    Ok(guest.u32_at(OUT))
}

fn receive(guest: &mut Guest, fd: u32, len: u32, flags: u32) -> Result<Vec<u8>, Errno> {
    let (iovs, count) = guest.iovs(&[(DATA, len)]);
    guest.call(|ctx, mem| p1::sock_recv(ctx, mem, fd, iovs, count, flags, OUT, OUT + 4))?;
    Ok(guest.bytes[DATA as usize..][..guest.u32_at(OUT) as usize].to_vec())
}

#[test]
fn a_connection_carries_bytes_both_ways() {
    let (address, mut guest) = listening();
    let mut peer = TcpStream::connect(address).unwrap();
    let fd = accept(&mut guest, 0).unwrap();
    assert_eq!(guest.fdstat(fd).unwrap().0, 6);
    peer.write_all(b"question").unwrap();
    assert_eq!(receive(&mut guest, fd, 5, 1), Ok(b"quest".to_vec()), "looking takes nothing");
    assert_eq!(receive(&mut guest, fd, 8, 2), Ok(b"question".to_vec()));
    let data = guest.put(DATA, b"answer");
    let (iovs, count) = guest.iovs(&[data]);
    guest.call(|ctx, mem| p1::sock_send(ctx, mem, fd, iovs, count, 0, OUT)).unwrap();
    assert_eq!(guest.write(fd, b"!"), Ok(1), "a socket is a file too");
    p1::sock_shutdown(&mut guest.ctx, fd, 2).unwrap();
    let mut answer = String::new();
    peer.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "answer!");
    drop(peer);
    assert_eq!(guest.read(fd, 10), Ok(vec![]));
    guest.close(fd).unwrap();
}

#[test]
fn a_listener_need_not_be_waited_for() {
    let (_address, mut guest) = listening();
    p1::fd_fdstat_set_flags(&mut guest.ctx, LISTENER, 4).unwrap();
    assert_eq!(guest.fdstat(LISTENER).unwrap().1, 4);
    assert_eq!(accept(&mut guest, 4), Err(Errno::Again));
}

#[test]
fn datagrams_say_when_they_were_cut() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let mut guest = Guest::new(WasiCtxBuilder::new().preopened_socket(socket).unwrap());
    assert_eq!(guest.fdstat(3).unwrap().0, 5);
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.send_to(b"0123456789", address).unwrap();
    assert_eq!(receive(&mut guest, 3, 4, 0), Ok(b"0123".to_vec()));
    assert_eq!(guest.u32_at(OUT + 4) & 0xffff, 1);
}

#[test]
fn bad_questions_are_refused() {
    let (_address, mut guest) = listening();
    assert_eq!(accept(&mut guest, 1), Err(Errno::Inval));
    assert_eq!(receive(&mut guest, LISTENER, 1, 4), Err(Errno::Inval));
    assert_eq!(receive(&mut guest, LISTENER, 1, 0), Err(Errno::Notconn));
    assert_eq!(receive(&mut guest, 0, 1, 0), Err(Errno::Notsock));
    assert_eq!(p1::sock_shutdown(&mut guest.ctx, LISTENER, 0), Err(Errno::Inval));
    assert_eq!(p1::sock_shutdown(&mut guest.ctx, LISTENER, 4), Err(Errno::Inval));
    let no_socket = std::fs::File::open("/dev/null").unwrap();
    assert!(WasiCtxBuilder::new().preopened_socket(no_socket).is_err());
}

#[test]
fn no_call_on_a_socket_waits_longer_than_the_host_allows() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut builder = WasiCtxBuilder::new();
    builder.max_wait(std::time::Duration::from_millis(5)).preopened_socket(listener).unwrap();
    let mut guest = Guest::new(&mut builder);
    assert_eq!(accept(&mut guest, 0), Err(Errno::Timedout));
    let mut peer = TcpStream::connect(address).unwrap();
    let fd = accept(&mut guest, 0).unwrap();
    assert_eq!(receive(&mut guest, fd, 1, 0), Err(Errno::Timedout));
    peer.write_all(b"abc").unwrap();
    assert_eq!(receive(&mut guest, fd, 100, 2), Ok(b"abc".to_vec()), "waiting for all could be for ever");
    // Nobody reads at the other end: buffers fill up, and then it is told.
    let end = (0..10_000).find_map(|_| guest.write(fd, &[0; 60_000]).err());
    assert_eq!(end, Some(Errno::Timedout));
}

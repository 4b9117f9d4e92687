//! Sockets that the embedder opened: a guest can accept, receive, send and shut down, never connect or bind.

use super::Result;
use super::fs::Metadata;
use super::poll::{Patience, patiently, retry};
use rustix::event::PollFlags;
use rustix::fs::OFlags;
use rustix::net::{RecvAncillaryBuffer, ReturnFlags, SendAncillaryBuffer, SendFlags, SocketFlags, SocketType};
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

pub use rustix::net::{RecvFlags, Shutdown};

/// A listening or connected socket.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    /// Whether it carries datagrams rather than a stream.
    pub datagrams: bool,
}

/// What receiving gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// How many bytes arrived.
    pub len_bytes: usize,
    /// Whether a datagram was longer than the buffers.
    pub truncated: bool,
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Socket {
    /// Takes a socket over; `ENOTSOCK` if it is none.
    pub fn new(fd: OwnedFd) -> Result<Socket> {
        let datagrams = rustix::net::sockopt::socket_type(&fd)? == SocketType::DGRAM;
        Ok(Socket { fd, datagrams })
    }

    /// Waits for a connection.
    pub fn accept(&self, nonblock: bool, patience: Patience) -> Result<Socket> {
        let mut flags = SocketFlags::CLOEXEC;
        flags.set(SocketFlags::NONBLOCK, nonblock);
        let fd = self.patiently(PollFlags::IN, patience, || rustix::net::accept_with(&self.fd, flags))?;
        Ok(Socket { fd, datagrams: false })
    }

    /// Receives into `buffers`; 0 bytes is the end of a stream.
    pub fn receive(
        &self,
        buffers: &mut [IoSliceMut<'_>],
        mut flags: RecvFlags,
        patience: Patience,
    ) -> Result<Received> {
        if patience != Patience::Forever {
            // All or nothing could take for ever.
            flags.remove(RecvFlags::WAITALL);
        }
        self.patiently(PollFlags::IN, patience, || {
            let mut control = RecvAncillaryBuffer::default();
            let message = rustix::net::recvmsg(&self.fd, buffers, &mut control, flags)?;
            Ok(Received { len_bytes: message.bytes, truncated: message.flags.contains(ReturnFlags::TRUNC) })
        })
    }

    /// Sends `buffers`. A closed peer is an error, not a signal.
    pub fn send(&self, buffers: &[IoSlice<'_>], patience: Patience) -> Result<usize> {
        let mut flags = SendFlags::NOSIGNAL;
        flags.set(SendFlags::DONTWAIT, patience != Patience::Forever);
        self.patiently(PollFlags::OUT, patience, || {
            let mut control = SendAncillaryBuffer::default();
            rustix::net::sendmsg(&self.fd, buffers, &mut control, flags)
        })
    }

    /// A socket is non-blocking or not by its own flag; only where it waits does the guest's patience matter.
    fn patiently<R>(&self, event: PollFlags, patience: Patience, mut transfer: impl FnMut() -> Result<R>) -> Result<R> {
        if patience == Patience::Forever || self.is_nonblocking()? {
            return retry(transfer);
        }
        patiently(self.fd.as_fd(), event, patience, &mut transfer)
    }

    /// Ends one direction or both.
    pub fn shutdown(&self, how: Shutdown) -> Result<()> {
        rustix::net::shutdown(&self.fd, how)
    }

    /// Whether operations wait.
    pub fn is_nonblocking(&self) -> Result<bool> {
        Ok(rustix::fs::fcntl_getfl(&self.fd)?.contains(OFlags::NONBLOCK))
    }

    /// Says whether operations wait.
    pub fn set_nonblocking(&self, nonblock: bool) -> Result<()> {
        let mut flags = rustix::fs::fcntl_getfl(&self.fd)?;
        flags.set(OFlags::NONBLOCK, nonblock);
        rustix::fs::fcntl_setfl(&self.fd, flags)
    }

    /// What is known of the socket as a file.
    pub fn metadata(&self) -> Result<Metadata> {
        Ok(rustix::fs::fstat(&self.fd)?.into())
    }
}

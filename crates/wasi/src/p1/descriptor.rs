//! What a guest's file descriptor stands for, and the one question asked of it: may you do this?

use super::types::{Errno, FDFLAGS_NONBLOCK, rights};
use crate::ctx::WasiCtx;
use crate::host;
use crate::host::fs::{Dir, Entries, File};
use crate::host::net::Socket;
use crate::host::poll::Patience;
use crate::host::stdio::Stdio;
use crate::host::terminal::Visible;
use std::io::IoSlice;

/// An open file descriptor.
#[derive(Debug)]
pub struct Descriptor {
    pub object: Object,
    /// What may be done with it.
    pub base: u64,
    /// What may be done with what is opened through it.
    pub inheriting: u64,
}

/// What is behind a descriptor.
#[derive(Debug)]
pub enum Object {
    Stdio(Stream),
    File(File),
    Dir(OpenDir),
    Socket(Socket),
}

/// A standard stream. Its flags are the guest's own: the host's descriptor is shared with others.
#[derive(Debug)]
pub struct Stream {
    pub stdio: Stdio,
    pub flags: u16,
    pub protection: Protection,
}

/// Whether what a guest writes may control a terminal.
#[derive(Debug)]
pub enum Protection {
    /// It may.
    None,
    /// Not if there is a terminal, which is asked at the first write.
    Wanted,
    /// Not.
    On(Visible),
}

impl Stream {
    /// Writes, making control characters visible where that is wanted.
    pub fn write(&mut self, buffers: &[IoSlice<'_>], patience: Patience) -> host::Result<usize> {
        if let Protection::Wanted = self.protection {
            let terminal = self.stdio.is_terminal();
            self.protection = if terminal { Protection::On(Visible::default()) } else { Protection::None };
        }
        let Protection::On(visible) = &mut self.protection else { return self.stdio.write(buffers, patience) };
        // A translation cannot be taken back, so it is written whole even to a stream that was asked not to wait.
        let patience = if patience == Patience::Never { Patience::Forever } else { patience };
        let mut taken = 0;
        for buffer in buffers {
            let written = visible.write(buffer, |mut piece| {
                while !piece.is_empty() {
                    let written = self.stdio.write(&[IoSlice::new(piece)], patience)?;
                    piece = &piece[written..];
                }
                Ok(())
            });
            match written {
                Err(error) if taken == 0 => return Err(error),
                Err(_) => break,
                Ok(()) => taken += buffer.len(),
            }
        }
        Ok(taken)
    }
}

/// A directory, with the iteration that `fd_readdir` is in the middle of.
#[derive(Debug)]
pub struct OpenDir {
    pub dir: Dir,
    pub entries: Option<Box<Entries>>,
    /// The name under which the host gave it to the guest.
    pub preopen: Option<String>,
}

impl Descriptor {
    pub fn stdio(stdio: Stdio, direction: u64, protection: Protection) -> Descriptor {
        let base = rights::STREAM & !(rights::FD_READ | rights::FD_WRITE) | direction;
        Descriptor { object: Object::Stdio(Stream { stdio, flags: 0, protection }), base, inheriting: 0 }
    }

    pub fn preopen(dir: Dir, name: String) -> Descriptor {
        Descriptor {
            object: Object::Dir(OpenDir { dir, entries: None, preopen: Some(name) }),
            base: rights::DIRECTORY,
            inheriting: rights::DIRECTORY | rights::FILE,
        }
    }

    pub fn socket(socket: Socket) -> Descriptor {
        Descriptor { object: Object::Socket(socket), base: rights::SOCKET, inheriting: rights::SOCKET }
    }

    /// `Ok` if the guest may do what `right` names. Reading and writing are refused as the kernel refuses them on a
    /// descriptor that was not opened for it.
    pub fn require(&self, right: u64) -> Result<(), Errno> {
        match self.base & right == right {
            true => Ok(()),
            false if right == rights::FD_READ || right == rights::FD_WRITE => Err(Errno::Badf),
            false => Err(Errno::Notcapable),
        }
    }
}

impl WasiCtx {
    /// How long an operation may wait: not at all if its descriptor says so, and never longer than the host allows.
    pub(crate) fn patience(&self, fdflags: u16) -> Patience {
        match self.max_wait {
            _ if fdflags & FDFLAGS_NONBLOCK != 0 => Patience::Never,
            Some(duration) => Patience::UpTo(duration),
            None => Patience::Forever,
        }
    }

    /// Number and kind of each file and directory that the guest opened itself and still holds.
    pub fn opened_descriptors(&self) -> Vec<(u32, &'static str)> {
        let kind = |descriptor: &Descriptor| match &descriptor.object {
            Object::File(_) => Some("a file"),
            Object::Dir(open) if open.preopen.is_none() => Some("a directory"),
            _ => None,
        };
        self.descriptors.iter().filter_map(|(number, descriptor)| Some((number, kind(descriptor)?))).collect()
    }

    /// The descriptor `fd`, if `right` is among its rights.
    pub(crate) fn descriptor(&self, fd: u32, right: u64) -> Result<&Descriptor, Errno> {
        let descriptor = self.descriptors.get(fd).ok_or(Errno::Badf)?;
        descriptor.require(right)?;
        Ok(descriptor)
    }

    pub(crate) fn descriptor_mut(&mut self, fd: u32, right: u64) -> Result<&mut Descriptor, Errno> {
        let descriptor = self.descriptors.get_mut(fd).ok_or(Errno::Badf)?;
        descriptor.require(right)?;
        Ok(descriptor)
    }

    /// The directory `fd`, if `right` is among its rights.
    pub(crate) fn dir(&self, fd: u32, right: u64) -> Result<&Dir, Errno> {
        let descriptor = self.descriptor(fd, rights::NONE)?;
        let Object::Dir(open) = &descriptor.object else { return Err(Errno::Notdir) };
        descriptor.require(right)?;
        Ok(&open.dir)
    }

    /// The file `fd`, if `right` is among its rights.
    pub(crate) fn file(&self, fd: u32, right: u64) -> Result<&File, Errno> {
        let descriptor = self.descriptor(fd, rights::NONE)?;
        let file = match &descriptor.object {
            Object::File(file) => file,
            Object::Dir(_) => return Err(if right == rights::FD_READ { Errno::Isdir } else { Errno::Badf }),
            Object::Stdio(_) | Object::Socket(_) => return Err(Errno::Spipe),
        };
        descriptor.require(right)?;
        Ok(file)
    }
}

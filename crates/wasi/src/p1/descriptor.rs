//! What a guest's file descriptor stands for, and the one question asked of it: may you do this?

use super::types::{Errno, rights};
use crate::ctx::WasiCtx;
use crate::host::fs::{Dir, Entries, File};
use crate::host::net::Socket;
use crate::host::stdio::Stdio;

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
    pub fn stdio(stdio: Stdio, direction: u64) -> Descriptor {
        let base = rights::STREAM & !(rights::FD_READ | rights::FD_WRITE) | direction;
        Descriptor { object: Object::Stdio(Stream { stdio, flags: 0 }), base, inheriting: 0 }
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

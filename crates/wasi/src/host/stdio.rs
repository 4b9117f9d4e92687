//! The standard streams: the host's own, in-memory pipes for embedders that capture or feed them, any descriptor, or
//! nothing.
//!
//! One type serves both directions, as a terminal does: reading what can only be written answers `EBADF`.

use super::fs::{FileKind, Metadata};
use super::poll::{Patience, WRITABLE_BYTES, patiently};
use super::{Errno, Result, transfer};
use rustix::event::PollFlags;
use std::io::{IoSlice, IoSliceMut, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A stream given to a guest as its standard input, output or error.
#[derive(Debug, Default)]
pub enum Stdio {
    /// Reads give the end of file, writes vanish.
    #[default]
    Null,
    /// The host's standard input.
    InheritStdin,
    /// The host's standard output.
    InheritStdout,
    /// The host's standard error.
    InheritStderr,
    /// A descriptor of the embedder's: a file, a pipe, a socket.
    Fd(OwnedFd),
    /// Bytes that the embedder supplied.
    Input(MemoryInputPipe),
    /// Bytes that the embedder collects.
    Output(MemoryOutputPipe),
}

/// Bytes for a guest to read. Clones share one position.
#[derive(Clone, Debug)]
pub struct MemoryInputPipe(Arc<Mutex<InputState>>);

#[derive(Debug)]
struct InputState {
    bytes: Vec<u8>,
    at: usize,
}

/// Bytes that a guest wrote, up to a capacity. Clones share the same bytes, so the embedder keeps one.
#[derive(Clone, Debug)]
pub struct MemoryOutputPipe {
    bytes: Arc<Mutex<Vec<u8>>>,
    capacity_bytes: usize,
}

impl MemoryInputPipe {
    /// A pipe that holds `bytes` and then ends.
    pub fn new(bytes: impl Into<Vec<u8>>) -> MemoryInputPipe {
        MemoryInputPipe(Arc::new(Mutex::new(InputState { bytes: bytes.into(), at: 0 })))
    }

    fn state(&self) -> MutexGuard<'_, InputState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryOutputPipe {
    /// A pipe that takes at most `capacity_bytes`; a guest that writes more gets `ENOSPC`.
    pub fn new(capacity_bytes: usize) -> MemoryOutputPipe {
        MemoryOutputPipe { bytes: Arc::default(), capacity_bytes }
    }

    /// What was written so far.
    pub fn contents(&self) -> Vec<u8> {
        self.state().clone()
    }

    fn state(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<MemoryInputPipe> for Stdio {
    fn from(pipe: MemoryInputPipe) -> Stdio {
        Stdio::Input(pipe)
    }
}

impl From<MemoryOutputPipe> for Stdio {
    fn from(pipe: MemoryOutputPipe) -> Stdio {
        Stdio::Output(pipe)
    }
}

impl From<OwnedFd> for Stdio {
    fn from(fd: OwnedFd) -> Stdio {
        Stdio::Fd(fd)
    }
}

impl From<std::fs::File> for Stdio {
    fn from(file: std::fs::File) -> Stdio {
        Stdio::Fd(file.into())
    }
}

impl Stdio {
    /// The descriptor behind the stream, if the kernel has one: what to poll.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Stdio::InheritStdin => Some(rustix::stdio::stdin()),
            Stdio::InheritStdout => Some(rustix::stdio::stdout()),
            Stdio::InheritStderr => Some(rustix::stdio::stderr()),
            Stdio::Fd(fd) => Some(fd.as_fd()),
            Stdio::Null | Stdio::Input(_) | Stdio::Output(_) => None,
        }
    }

    /// Reads; 0 is the end.
    pub fn read(&self, buffers: &mut [IoSliceMut<'_>], patience: Patience) -> Result<usize> {
        match self {
            Stdio::Null => Ok(0),
            Stdio::Input(pipe) => {
                let mut state = pipe.state();
                let mut taken = 0;
                for buffer in buffers {
                    let rest = &state.bytes[state.at..];
                    let len = rest.len().min(buffer.len());
                    buffer[..len].copy_from_slice(&rest[..len]);
                    state.at += len;
                    taken += len;
                }
                Ok(taken)
            }
            Stdio::Output(_) => Err(Errno::BADF),
            _ => {
                let fd = self.descriptor().ok_or(Errno::BADF)?;
                patiently(fd, PollFlags::IN, patience, || transfer::read(fd, buffers))
            }
        }
    }

    /// Writes.
    pub fn write(&self, buffers: &[IoSlice<'_>], patience: Patience) -> Result<usize> {
        match self {
            Stdio::Null => Ok(buffers.iter().map(|buffer| buffer.len()).sum()),
            Stdio::Output(pipe) => {
                let mut bytes = pipe.state();
                let mut taken = 0;
                for buffer in buffers {
                    let len = buffer.len().min(pipe.capacity_bytes.saturating_sub(bytes.len()));
                    bytes.extend_from_slice(&buffer[..len]);
                    taken += len;
                }
                let wanted: usize = buffers.iter().map(|buffer| buffer.len()).sum();
                if taken == 0 && wanted > 0 { Err(Errno::NOSPC) } else { Ok(taken) }
            }
            Stdio::Input(_) => Err(Errno::BADF),
            _ => {
                let fd = self.descriptor().ok_or(Errno::BADF)?;
                patiently(fd, PollFlags::OUT, patience, || match buffers {
                    [first, ..] if patience != Patience::Forever => {
                        rustix::io::write(fd, &first[..first.len().min(WRITABLE_BYTES)])
                    }
                    _ => transfer::write(fd, buffers),
                })
            }
        }
    }

    /// How many bytes are known to be ready for reading.
    pub fn ready_bytes(&self) -> u64 {
        match self {
            Stdio::Input(pipe) => {
                let state = pipe.state();
                (state.bytes.len() - state.at) as u64
            }
            _ => self.descriptor().and_then(|fd| rustix::io::ioctl_fionread(fd).ok()).unwrap_or(0),
        }
    }

    /// Whether a person may be at the other end.
    pub fn is_terminal(&self) -> bool {
        self.descriptor().is_some_and(|fd| fd.is_terminal())
    }

    /// What is known of the stream as a file.
    pub fn metadata(&self) -> Result<Metadata> {
        match self.descriptor() {
            Some(fd) => Ok(rustix::fs::fstat(fd)?.into()),
            None if matches!(self, Stdio::Null) => Ok(Metadata::virtual_file(FileKind::CharacterDevice)),
            None => Ok(Metadata::virtual_file(FileKind::Fifo)),
        }
    }
}

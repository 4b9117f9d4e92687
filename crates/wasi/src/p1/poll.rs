//! `poll_oneoff`: waits for clocks and descriptors at once, in one system call.
//!
//! ```text
//! subscription (48): userdata 0 u64 | tag 8 u8 | clock: id 16 u32, timeout 24 u64, precision 32 u64, flags 40 u16
//!                                              | fd_read, fd_write: fd 16 u32
//! event        (32): userdata 0 u64 | error 8 u16 | type 10 u8 | nbytes 16 u64 | flags 24 u16
//! ```
//!
//! Regular files, directories and in-memory streams are always ready. Events are written in the order of subscriptions.

use super::clock::clock_id;
use super::descriptor::Object;
use super::memory::GuestMemory;
use super::types::*;
use crate::ctx::WasiCtx;
use crate::host::clock::{Clock, ClockId, NOT_WAITABLE};
use crate::host::fs::File;
use crate::host::poll::{saturating_ns, wait};
use rustix::event::{PollFd, PollFlags};
use rustix::fs::SeekFrom;
use std::os::fd::{AsFd, BorrowedFd};

/// How a subscription is laid out: preview 0 has one more number in that of a clock.
#[derive(Clone, Copy)]
pub(crate) struct SubscriptionLayout {
    pub len_bytes: u32,
    /// Where the clock's number is; its timeout is 8 bytes further, its flags 24.
    pub clock: u32,
}

const SUBSCRIPTION: SubscriptionLayout = SubscriptionLayout { len_bytes: 48, clock: 16 };
const EVENT_BYTES: u32 = 32;
/// The most subscriptions in one call: the host keeps a few words for each.
const SUBSCRIPTIONS_MAX: u32 = 8192;

/// What a subscription waits for, or is already known to give.
enum Wait {
    /// A time, in nanoseconds from the beginning of the call.
    Clock(u64),
    /// A descriptor, by its place in the list given to the kernel.
    Fd(usize),
    /// Nothing: the event is there.
    Ready { error: u16, nbytes: u64 },
}

struct Subscription {
    userdata: [u8; 8],
    tag: u8,
    wait: Wait,
}

/// Waits until at least one of the subscriptions at `input` has happened, and writes the events that have to `output`.
pub fn poll_oneoff(
    ctx: &mut WasiCtx,
    mem: &mut GuestMemory<'_>,
    input: u32,
    output: u32,
    count: u32,
    nevents: u32,
) -> Result<(), Errno> {
    poll(ctx, mem, SUBSCRIPTION, input, output, count, nevents)
}

/// [`poll_oneoff`] with subscriptions of either layout.
pub(crate) fn poll(
    ctx: &mut WasiCtx,
    mem: &mut GuestMemory<'_>,
    layout: SubscriptionLayout,
    input: u32,
    output: u32,
    count: u32,
    nevents: u32,
) -> Result<(), Errno> {
    if count == 0 || count > SUBSCRIPTIONS_MAX {
        return Err(Errno::Inval);
    }
    mem.check(input, count * layout.len_bytes)?;
    mem.check(output, count * EVENT_BYTES)?;
    mem.check(nevents, 4)?;
    let WasiCtx { descriptors, clock, max_wait, .. } = ctx;
    let lookup = |fd: u32| {
        let descriptor = descriptors.get(fd).ok_or(Errno::Badf)?;
        match &descriptor.object {
            Object::Dir(_) => {}
            _ => descriptor.require(rights::POLL_FD_READWRITE)?,
        }
        Ok(&descriptor.object)
    };
    let mut fds = Vec::new();
    let mut subscriptions = Vec::with_capacity(count as usize);
    for at in 0..count {
        subscriptions.push(read_subscription(mem, input + at * layout.len_bytes, layout, clock, &lookup, &mut fds)?);
    }
    let timeout_ns = subscriptions.iter().filter_map(Subscription::timeout_ns).min();
    let longest_ns = max_wait.map(saturating_ns);
    let bounded_ns = timeout_ns.into_iter().chain(longest_ns).min();
    let ready = wait(&mut fds, bounded_ns, clock)?;
    if ready == 0 && bounded_ns != timeout_ns {
        return Err(Errno::Timedout);
    }
    // If a descriptor ended the wait, the clocks that have not been waited for did not happen.
    let passed_ns = if ready == 0 { timeout_ns.unwrap_or(0) } else { 0 };
    let mut written = 0;
    for subscription in &subscriptions {
        if let Some(event) = subscription.event(&fds, passed_ns) {
            mem.write(output + written * EVENT_BYTES, &event)?;
            written += 1;
        }
    }
    mem.write_u32(nevents, written)
}

fn read_subscription<'a>(
    mem: &GuestMemory<'_>,
    at: u32,
    layout: SubscriptionLayout,
    clock: &mut Clock,
    lookup: &impl Fn(u32) -> Result<&'a Object, Errno>,
    fds: &mut Vec<PollFd<'a>>,
) -> Result<Subscription, Errno> {
    let userdata = mem.read::<8>(at)?;
    let [tag] = mem.read::<1>(at + 8)?;
    let wait = match tag {
        EVENTTYPE_CLOCK => clock_wait(mem, at + layout.clock, clock)?,
        EVENTTYPE_FD_READ | EVENTTYPE_FD_WRITE => match lookup(mem.read_u32(at + 16)?) {
            Ok(object) => fd_wait(object, tag == EVENTTYPE_FD_READ, fds),
            Err(error) => Wait::Ready { error: error as u16, nbytes: 0 },
        },
        _ => return Err(Errno::Inval),
    };
    Ok(Subscription { userdata, tag, wait })
}

fn clock_wait(mem: &GuestMemory<'_>, at: u32, clock: &mut Clock) -> Result<Wait, Errno> {
    let id = clock_id(mem.read_u32(at)?)?;
    let timeout_ns = u64::from_le_bytes(mem.read(at + 8)?);
    let flags = known(u16::from_le_bytes(mem.read(at + 24)?), SUBCLOCKFLAGS_ABSTIME)?;
    if matches!(id, ClockId::ProcessCpu | ClockId::ThreadCpu) {
        // Waiting uses no processor time, so such a clock would never get there.
        return Ok(Wait::Ready { error: Errno::from(NOT_WAITABLE) as u16, nbytes: 0 });
    }
    let absolute = flags & SUBCLOCKFLAGS_ABSTIME != 0;
    Ok(Wait::Clock(if absolute { timeout_ns.saturating_sub(clock.now_ns(id)) } else { timeout_ns }))
}

fn fd_wait<'a>(object: &'a Object, reading: bool, fds: &mut Vec<PollFd<'a>>) -> Wait {
    let descriptor: Option<BorrowedFd<'a>> = match object {
        Object::Stdio(stream) => stream.stdio.descriptor(),
        Object::Socket(socket) => Some(socket.as_fd()),
        Object::File(file) => match unread_bytes(file) {
            Some(nbytes) => return Wait::Ready { error: 0, nbytes: if reading { nbytes } else { 1 } },
            None => Some(file.as_fd()),
        },
        Object::Dir(_) => None,
    };
    let Some(descriptor) = descriptor else {
        let nbytes = match object {
            Object::Stdio(stream) if reading => stream.stdio.ready_bytes(),
            _ => 1,
        };
        return Wait::Ready { error: 0, nbytes };
    };
    fds.push(PollFd::from_borrowed_fd(descriptor, if reading { PollFlags::IN } else { PollFlags::OUT }));
    Wait::Fd(fds.len() - 1)
}

/// How many bytes lie ahead in a file that has an offset; such a file is always ready.
fn unread_bytes(file: &File) -> Option<u64> {
    let at = file.seek(SeekFrom::Current(0)).ok()?;
    Some(file.metadata().ok()?.size_bytes.saturating_sub(at))
}

impl Subscription {
    fn timeout_ns(&self) -> Option<u64> {
        match self.wait {
            Wait::Clock(after_ns) => Some(after_ns),
            Wait::Ready { .. } => Some(0),
            Wait::Fd(_) => None,
        }
    }

    /// The event of this subscription, if it has happened.
    fn event(&self, fds: &[PollFd<'_>], passed_ns: u64) -> Option<[u8; EVENT_BYTES as usize]> {
        let (error, nbytes, flags) = match self.wait {
            Wait::Ready { error, nbytes } => (error, nbytes, 0),
            Wait::Clock(after_ns) if after_ns <= passed_ns => (0, 0, 0),
            Wait::Clock(_) => return None,
            Wait::Fd(at) => {
                let revents = fds[at].revents();
                if revents.is_empty() {
                    return None;
                }
                let nbytes = match self.tag {
                    EVENTTYPE_FD_READ => rustix::io::ioctl_fionread(fds[at].as_fd()).unwrap_or(0),
                    _ => 1,
                };
                let error = if revents.contains(PollFlags::NVAL) { Errno::Badf as u16 } else { 0 };
                let hangup = revents.intersects(PollFlags::HUP | PollFlags::ERR);
                (error, nbytes, if hangup { EVENTRWFLAGS_HANGUP } else { 0 })
            }
        };
        let layout = Layout::new()
            .set(0, self.userdata)
            .set(8, error.to_le_bytes())
            .set(10, [self.tag])
            .set(16, nbytes.to_le_bytes())
            .set(24, flags.to_le_bytes());
        Some(layout.0)
    }
}

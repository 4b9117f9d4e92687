//! `poll_oneoff`.

use crate::guest::{CREAT, DATA, Guest, OUT, READ, ROOT, WRITE};
use hotfoot_wasi::p1::{self, Errno};
use hotfoot_wasi::{MemoryInputPipe, Perms, Stdio, VirtualClock, WasiCtxBuilder};
use std::io::Write as _;
use std::time::{Duration, Instant};

const EVENTS: u32 = DATA + 8192;

enum Sub {
    Clock { id: u32, timeout: u64, flags: u16 },
    Read(u32),
    Write(u32),
    Tag(u8),
}

#[derive(Debug, PartialEq, Eq)]
struct Event {
    userdata: u64,
    error: u16,
    kind: u8,
    nbytes: u64,
    flags: u16,
}

fn clock(timeout: u64) -> Sub {
    Sub::Clock { id: 1, timeout, flags: 0 }
}

fn poll(guest: &mut Guest, subs: &[Sub]) -> Result<Vec<Event>, Errno> {
    for (at, sub) in subs.iter().enumerate() {
        let base = DATA + at as u32 * 48;
        guest.put(base, &[0; 48]);
        guest.put(base, &(at as u64 + 100).to_le_bytes());
        let tag = match *sub {
            Sub::Clock { id, timeout, flags } => {
                guest.put(base + 16, &id.to_le_bytes());
                guest.put(base + 24, &timeout.to_le_bytes());
                guest.put(base + 40, &flags.to_le_bytes());
                0
            }
            Sub::Read(fd) | Sub::Write(fd) => {
                guest.put(base + 16, &fd.to_le_bytes());
                if matches!(sub, Sub::Read(_)) { 1 } else { 2 }
            }
            Sub::Tag(tag) => tag,
        };
        guest.put(base + 8, &[tag]);
    }
    guest.call(|ctx, mem| p1::poll_oneoff(ctx, mem, DATA, EVENTS, subs.len() as u32, OUT))?;
    let count = guest.u32_at(OUT);
    let event = |at: u32| {
        let base = EVENTS + at * 32;
        let short = |offset: u32| u16::from_le_bytes(guest.bytes[(base + offset) as usize..][..2].try_into().unwrap());
        Event {
            userdata: guest.u64_at(base),
            error: short(8),
            kind: guest.bytes[base as usize + 10],
            nbytes: guest.u64_at(base + 16),
            flags: short(24),
        }
    };
    Ok((0..count).map(event).collect())
}

#[test]
fn the_earliest_clock_ends_the_wait() {
    let mut guest = Guest::new(&mut WasiCtxBuilder::new());
    let start = Instant::now();
    let events = poll(&mut guest, &[clock(u64::MAX), clock(20_000_000), clock(3_600_000_000_000)]).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(20) && start.elapsed() < Duration::from_secs(60));
    assert_eq!(events, [Event { userdata: 101, error: 0, kind: 0, nbytes: 0, flags: 0 }]);
}

#[test]
fn absolute_times_that_have_passed_do_not_wait() {
    let mut guest = Guest::new(&mut WasiCtxBuilder::new());
    for id in [0, 1] {
        let events = poll(&mut guest, &[Sub::Clock { id, timeout: 1, flags: 1 }]).unwrap();
        assert_eq!(events.len(), 1);
    }
}

#[test]
fn a_virtual_clock_sleeps_in_no_time() {
    let mut guest = Guest::new(WasiCtxBuilder::new().clock(VirtualClock::new(0, 0)));
    let events = poll(&mut guest, &[clock(3_600_000_000_000)]).unwrap();
    assert_eq!(events.len(), 1);
    guest.call(|ctx, mem| p1::clock_time_get(ctx, mem, 0, 0, OUT)).unwrap();
    assert_eq!(guest.u64_at(OUT), 3_600_000_000_000);
}

#[test]
fn streams_and_files_are_ready_when_they_are() {
    let root = tempfile::tempdir().unwrap();
    let mut builder = WasiCtxBuilder::new();
    builder.stdin(MemoryInputPipe::new("abc")).preopened_dir(root.path(), "/", Perms::READ_WRITE).unwrap();
    let mut guest = Guest::new(&mut builder);
    let file = guest.open("f", CREAT, READ | WRITE).unwrap();
    guest.write(file, b"0123456789").unwrap();
    guest.seek(file, 4, 0).unwrap();
    let subs = [Sub::Read(0), Sub::Write(1), Sub::Read(file), Sub::Read(ROOT), Sub::Read(99), clock(u64::MAX)];
    let events = poll(&mut guest, &subs).unwrap();
    let seen: Vec<_> = events.iter().map(|event| (event.userdata, event.error, event.kind, event.nbytes)).collect();
    assert_eq!(seen, [(100, 0, 1, 3), (101, 0, 2, 1), (102, 0, 1, 6), (103, 0, 1, 1), (104, Errno::Badf as u16, 1, 0)]);
}

#[test]
fn a_pipe_wakes_the_waiter() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut guest = Guest::new(WasiCtxBuilder::new().stdin(Stdio::Fd(reader.into())));
    assert_eq!(poll(&mut guest, &[Sub::Read(0), clock(5_000_000)]).unwrap()[0].kind, 0, "nothing to read yet");
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        writer.write_all(b"hello").unwrap();
        writer
    });
    let events = poll(&mut guest, &[clock(60_000_000_000), Sub::Read(0)]).unwrap();
    assert_eq!(events, [Event { userdata: 101, error: 0, kind: 1, nbytes: 5, flags: 0 }]);
    guest.read(0, 5).unwrap();
    drop(thread.join().unwrap());
    let events = poll(&mut guest, &[Sub::Read(0)]).unwrap();
    assert_eq!(events, [Event { userdata: 100, error: 0, kind: 1, nbytes: 0, flags: 1 }], "the writer is gone");
}

#[test]
fn bad_questions_are_refused() {
    let mut guest = Guest::new(&mut WasiCtxBuilder::new());
    assert_eq!(poll(&mut guest, &[]), Err(Errno::Inval));
    assert_eq!(poll(&mut guest, &[Sub::Tag(3)]), Err(Errno::Inval));
    assert_eq!(poll(&mut guest, &[Sub::Clock { id: 9, timeout: 0, flags: 0 }]), Err(Errno::Inval));
    assert_eq!(poll(&mut guest, &[Sub::Clock { id: 0, timeout: 0, flags: 2 }]), Err(Errno::Inval));
    let events = poll(&mut guest, &[Sub::Clock { id: 2, timeout: 1, flags: 0 }]).unwrap();
    assert_eq!(events[0].error, Errno::Notsup as u16, "waiting uses no processor time");
    for (input, output, count, nevents) in
        [(u32::MAX, DATA, 1, OUT), (DATA, u32::MAX, 1, OUT), (DATA, DATA, 1, u32::MAX), (DATA, DATA, 8192, OUT)]
    {
        let result = guest.call(|ctx, mem| p1::poll_oneoff(ctx, mem, input, output, count, nevents));
        assert_eq!(result, Err(Errno::Fault), "{input} {output} {count} {nevents}");
    }
    for count in [8193, u32::MAX] {
        assert_eq!(guest.call(|ctx, mem| p1::poll_oneoff(ctx, mem, 0, 0, count, OUT)), Err(Errno::Inval));
    }
}

#[test]
fn no_call_waits_longer_than_the_host_allows() {
    let (reader, _writer) = std::io::pipe().unwrap();
    let mut builder = WasiCtxBuilder::new();
    let mut guest = Guest::new(builder.max_wait(Duration::from_millis(5)).stdin(Stdio::Fd(reader.into())));
    let start = Instant::now();
    assert_eq!(guest.read(0, 1), Err(Errno::Timedout));
    assert_eq!(poll(&mut guest, &[clock(u64::MAX)]), Err(Errno::Timedout));
    assert_eq!(poll(&mut guest, &[Sub::Read(0), clock(3_600_000_000_000)]), Err(Errno::Timedout));
    assert!(start.elapsed() >= Duration::from_millis(15));
    assert_eq!(poll(&mut guest, &[clock(1), clock(u64::MAX)]).map(|events| events.len()), Ok(1), "shorter is fine");
    p1::fd_fdstat_set_flags(&mut guest.ctx, 0, 4).unwrap();
    assert_eq!(guest.read(0, 1), Err(Errno::Again), "who does not wait is not told of waiting");
}

/// A pipe takes what fits at once; a guest that may not wait for ever is never stuck in writing the rest.
#[test]
fn a_full_pipe_does_not_hold_a_guest() {
    let (_reader, writer) = std::io::pipe().unwrap();
    let mut builder = WasiCtxBuilder::new();
    let mut guest = Guest::new(builder.max_wait(Duration::from_millis(5)).stdout(Stdio::Fd(writer.into())));
    let mut taken = 0;
    let end = loop {
        match guest.write(1, &[7; 60_000]) {
            Ok(written) => taken += written,
            Err(error) => break error,
        }
    };
    assert_eq!(end, Errno::Timedout);
    assert!(taken >= 4096, "{taken}");
    p1::fd_fdstat_set_flags(&mut guest.ctx, 1, 4).unwrap();
    assert_eq!(guest.write(1, b"x"), Err(Errno::Again));
}

#[test]
fn as_many_subscriptions_as_are_allowed_and_one_more() {
    let mut guest = Guest::new(&mut WasiCtxBuilder::new());
    guest.bytes.resize(8193 * 48 + 8193 * 32 + DATA as usize, 0);
    let events = DATA + 8193 * 48;
    let ask = |guest: &mut Guest, count| guest.call(|ctx, mem| p1::poll_oneoff(ctx, mem, DATA, events, count, OUT));
    // All zero: clock 0, due at once.
    assert_eq!(ask(&mut guest, 8192), Ok(()));
    assert_eq!(guest.u32_at(OUT), 8192);
    assert_eq!(ask(&mut guest, 8193), Err(Errno::Inval));
}

//! Arbitrary arguments to every function: an error number or success, never a panic.

use crate::guest::{Guest, ROOT};
use hotfoot_wasi::p1::{self, PathOpen};
use hotfoot_wasi::{MemoryInputPipe, Perms, VirtualClock, WasiCtxBuilder};

/// A small generator of numbers, mostly from the edges of their range.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.0 >> 33
    }

    fn u32(&mut self) -> u32 {
        match self.next() % 8 {
            0 => 0,
            1 => u32::MAX,
            2 => i32::MAX as u32 + (self.next() % 3) as u32,
            3 => (1 << 17) - (self.next() % 40) as u32,
            4 => (self.next() % 8) as u32,
            _ => (self.next() % (1 << 17)) as u32,
        }
    }

    fn u64(&mut self) -> u64 {
        match self.next() % 6 {
            0 => u64::MAX,
            1 => 1 << 63,
            2 => i64::MAX as u64,
            _ => u64::from(self.u32()),
        }
    }

    fn fd(&mut self) -> u32 {
        match self.next() % 8 {
            0 => self.u32(),
            at => at as u32,
        }
    }
}

fn fresh(root: &std::path::Path) -> Guest {
    let mut builder = WasiCtxBuilder::new();
    builder.args(&["a", "b"]).env("K", "V").stdin(MemoryInputPipe::new("input")).clock(VirtualClock::new(0, 1));
    builder.preopened_dir(root, "/", Perms::READ_WRITE).unwrap();
    let mut guest = Guest::new(&mut builder);
    // Paths and vectors of buffers to stumble over.
    for (at, path) in ["f", "d", "d/f", "..", "/", "d/link", "f/", "d/../f"].iter().enumerate() {
        guest.put(at as u32 * 8, path.as_bytes());
    }
    guest.open("f", 1, p1::rights::FD_READ | p1::rights::FD_WRITE).unwrap();
    guest
}

#[test]
fn no_argument_makes_the_host_panic() {
    let root = tempfile::tempdir().unwrap();
    let inside = root.path().join("in");
    std::fs::create_dir_all(inside.join("d")).unwrap();
    let mut dice = Dice(1);
    for round in 0..20_000 {
        let mut guest = fresh(&inside);
        let (a, b, c, d, e) = (dice.fd(), dice.u32(), dice.u32(), dice.u32(), dice.u32());
        let (x, y) = (dice.u64(), dice.u64());
        guest.put(64, &dice.u64().to_le_bytes());
        guest.put(72, &dice.u64().to_le_bytes());
        let result = call(&mut guest, round, [a, b, c, d, e], [x, y]);
        // Success is fine; what matters is to be here, and that the guest's memory is as long as it was.
        assert!(result.is_ok() || guest.bytes.len() == 1 << 17);
        // A file of 8 EiB costs nothing until something reads it all.
        let _ = guest.unlink("f");
    }
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1, "something was made outside");
}

fn call(guest: &mut Guest, which: usize, [a, b, c, d, e]: [u32; 5], [x, y]: [u64; 2]) -> Result<(), p1::Errno> {
    let (small, ctx) = (b % 64, &mut guest.ctx);
    let mem = &mut p1::GuestMemory::new(&mut guest.bytes[..]);
    match which % 42 {
        0 => p1::args_get(ctx, mem, b, c),
        1 => p1::args_sizes_get(ctx, mem, b, c),
        2 => p1::environ_get(ctx, mem, b, c),
        3 => p1::environ_sizes_get(ctx, mem, b, c),
        4 => p1::clock_res_get(ctx, mem, a, b),
        5 => p1::clock_time_get(ctx, mem, a, x, b),
        6 => p1::fd_advise(ctx, a, x, y, b % 8),
        7 => p1::fd_allocate(ctx, a, x % (1 << 20), y % (1 << 20)),
        8 => p1::fd_close(ctx, a),
        9 => p1::fd_datasync(ctx, a),
        10 => p1::fd_fdstat_get(ctx, mem, a, b),
        11 => p1::fd_fdstat_set_flags(ctx, a, b),
        12 => p1::fd_fdstat_set_rights(ctx, a, x, y),
        13 => p1::fd_filestat_get(ctx, mem, a, b),
        14 => p1::fd_filestat_set_size(ctx, a, x),
        15 => p1::fd_filestat_set_times(ctx, a, x, y, b),
        16 => p1::fd_pread(ctx, mem, a, b, c % 64, x, d),
        17 => p1::fd_prestat_dir_name(ctx, mem, a, b, c),
        18 => p1::fd_prestat_get(ctx, mem, a, b),
        19 => p1::fd_pwrite(ctx, mem, a, b, c, x % (1 << 20), d),
        20 => p1::fd_read(ctx, mem, a, b, c % 64, d),
        21 => p1::fd_readdir(ctx, mem, a, b, c, x, d),
        22 => p1::fd_renumber(ctx, a, b),
        23 => p1::fd_seek(ctx, mem, a, x as i64, b % 4, c),
        24 => p1::fd_sync(ctx, a),
        25 => p1::fd_tell(ctx, mem, a, b),
        26 => p1::fd_write(ctx, mem, a, b, c, d),
        27 => p1::path_create_directory(ctx, mem, ROOT, small, c % 8),
        28 => p1::path_filestat_get(ctx, mem, ROOT, b % 3, c % 64, d % 9, e),
        29 => p1::path_filestat_set_times(ctx, mem, ROOT, b % 3, c % 64, d % 9, x, y, e),
        30 => p1::path_link(ctx, mem, ROOT, 0, small, c % 8, a, d % 64, e % 8),
        31 => {
            let open = PathOpen {
                fd: a,
                dirflags: b % 3,
                path: small,
                path_len: c % 9,
                oflags: d,
                rights_base: x,
                ..PathOpen::default()
            };
            p1::path_open(ctx, mem, PathOpen { rights_inheriting: y, fdflags: e % 40, opened_fd: b, ..open })
        }
        32 => p1::path_readlink(ctx, mem, ROOT, small, c % 8, b, d, e),
        33 => p1::path_remove_directory(ctx, mem, a, b, c),
        34 => p1::path_rename(ctx, mem, ROOT, small, c % 8, a, d % 64, e % 8),
        35 => p1::path_symlink(ctx, mem, small, c % 8, ROOT, d % 64, e % 8),
        36 => p1::path_unlink_file(ctx, mem, ROOT, small, c % 8),
        37 => p1::poll_oneoff(ctx, mem, b, c, d % 64, e),
        38 => p1::random_get(ctx, mem, b, c),
        39 => p1::sock_recv(ctx, mem, a, b, c % 64, d, e, b),
        40 => p1::sock_send(ctx, mem, a, b, c, d, e),
        _ => p1::sock_accept(ctx, mem, a, b, c),
    }
}

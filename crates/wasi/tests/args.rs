//! Arguments, environment, clocks, randomness and the end of a program.

use crate::guest::{DATA, Guest, OUT};
use hotfoot_wasi::p1::{self, Errno, I32Exit};
use hotfoot_wasi::{Random, VirtualClock, WasiCtxBuilder};

#[test]
fn strings_are_laid_out_with_pointers_and_zero_bytes() {
    let mut guest = Guest::new(WasiCtxBuilder::new().args(&["prog", "", "é\n"]).env("A", "1").env("B", "x=y"));
    guest.call(|ctx, mem| p1::args_sizes_get(ctx, mem, OUT, OUT + 4)).unwrap();
    assert_eq!((guest.u32_at(OUT), guest.u32_at(OUT + 4)), (3, 5 + 1 + 4));
    guest.call(|ctx, mem| p1::args_get(ctx, mem, OUT, DATA)).unwrap();
    assert_eq!([guest.u32_at(0), guest.u32_at(4), guest.u32_at(8)], [DATA, DATA + 5, DATA + 6]);
    assert_eq!(&guest.bytes[DATA as usize..][..10], "prog\0\0é\n\0".as_bytes());
    guest.call(|ctx, mem| p1::environ_sizes_get(ctx, mem, OUT, OUT + 4)).unwrap();
    assert_eq!((guest.u32_at(OUT), guest.u32_at(OUT + 4)), (2, 4 + 6));
    guest.call(|ctx, mem| p1::environ_get(ctx, mem, OUT, DATA)).unwrap();
    assert_eq!(&guest.bytes[DATA as usize..][..10], b"A=1\0B=x=y\0");
}

#[test]
fn a_variable_set_twice_has_the_last_value() {
    let mut builder = WasiCtxBuilder::new();
    builder.env("NAME", "old").env("NAMES", "kept").env("NAME", "new");
    let mut guest = Guest::new(&mut builder);
    guest.call(|ctx, mem| p1::environ_get(ctx, mem, OUT, DATA)).unwrap();
    assert_eq!(&guest.bytes[DATA as usize..][..20], b"NAMES=kept\0NAME=new\0");
}

#[test]
fn strings_that_do_not_fit_are_a_fault() {
    let mut guest = Guest::new(WasiCtxBuilder::new().arg("0123456789"));
    let end = guest.bytes.len() as u32;
    for (argv, buffer) in
        [(end, DATA), (end - 3, DATA), (OUT, end - 5), (OUT, end), (u32::MAX, u32::MAX), (OUT, end - 10)]
    {
        assert_eq!(guest.call(|ctx, mem| p1::args_get(ctx, mem, argv, buffer)), Err(Errno::Fault), "{argv} {buffer}");
    }
    assert_eq!(guest.call(|ctx, mem| p1::args_get(ctx, mem, OUT, end - 11)), Ok(()));
}

#[test]
fn clocks_run_and_unknown_ones_are_refused() {
    let mut guest = Guest::new(&mut WasiCtxBuilder::new());
    for id in 0..4 {
        guest.call(|ctx, mem| p1::clock_res_get(ctx, mem, id, OUT)).unwrap();
        assert!(guest.u64_at(OUT) >= 1, "clock {id}");
        guest.call(|ctx, mem| p1::clock_time_get(ctx, mem, id, 0, OUT)).unwrap();
        let first = guest.u64_at(OUT);
        guest.call(|ctx, mem| p1::clock_time_get(ctx, mem, id, 0, OUT)).unwrap();
        assert!(guest.u64_at(OUT) >= first, "clock {id}");
    }
    for id in [4, u32::MAX] {
        assert_eq!(guest.call(|ctx, mem| p1::clock_time_get(ctx, mem, id, 0, OUT)), Err(Errno::Inval));
        assert_eq!(guest.call(|ctx, mem| p1::clock_res_get(ctx, mem, id, OUT)), Err(Errno::Inval));
    }
    assert_eq!(guest.call(|ctx, mem| p1::clock_time_get(ctx, mem, 0, 0, u32::MAX)), Err(Errno::Fault));
}

#[test]
fn virtual_clocks_and_seeds_make_runs_repeatable() {
    let run = || {
        let mut builder = WasiCtxBuilder::new();
        builder.clock(VirtualClock::new(1_000_000, 10)).random(Random::seeded(42));
        let mut guest = Guest::new(&mut builder);
        guest.call(|ctx, mem| p1::clock_time_get(ctx, mem, 0, 0, OUT)).unwrap();
        assert_eq!(guest.u64_at(OUT), 1_000_010);
        guest.call(|ctx, mem| p1::random_get(ctx, mem, DATA, 100)).unwrap();
        guest.bytes
    };
    assert_eq!(run(), run());
}

#[test]
fn random_bytes_fill_exactly_what_was_asked() {
    let mut guest = Guest::new(&mut WasiCtxBuilder::new());
    guest.call(|ctx, mem| p1::random_get(ctx, mem, DATA, 4096)).unwrap();
    assert!(guest.bytes[DATA as usize..][..4096].iter().any(|&byte| byte != 0));
    assert!(guest.bytes[DATA as usize + 4096..].iter().all(|&byte| byte == 0));
    assert_eq!(guest.call(|ctx, mem| p1::random_get(ctx, mem, DATA, u32::MAX)), Err(Errno::Fault));
    assert_eq!(guest.call(|ctx, mem| p1::random_get(ctx, mem, DATA, 0)), Ok(()));
}

#[test]
fn programs_end_with_their_code() {
    assert_eq!(p1::proc_exit(3), I32Exit(3));
    assert_eq!(p1::proc_exit(u32::MAX), I32Exit(-1));
    assert_eq!(p1::proc_raise(6), Ok(Err(I32Exit(134))));
    assert_eq!(p1::proc_raise(0), Ok(Ok(())));
    assert_eq!(p1::proc_raise(18), Err(Errno::Notsup));
    assert_eq!(p1::proc_raise(31), Err(Errno::Inval));
    let mut guest = Guest::new(&mut WasiCtxBuilder::new());
    assert_eq!(p1::sched_yield(&mut guest.ctx), Ok(()));
}

#[test]
fn as_many_random_bytes_as_are_allowed_and_one_more() {
    let mut guest = Guest::new(WasiCtxBuilder::new().random(Random::seeded(1)));
    guest.bytes.resize((64 << 20) + 1, 0);
    assert_eq!(guest.call(|ctx, mem| p1::random_get(ctx, mem, 0, 64 << 20)), Ok(()));
    assert_eq!(guest.bytes[64 << 20], 0);
    assert_eq!(guest.call(|ctx, mem| p1::random_get(ctx, mem, 0, (64 << 20) + 1)), Err(Errno::Inval));
}

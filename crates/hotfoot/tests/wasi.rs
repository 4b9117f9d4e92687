//! WASI guests on warm instances: they stay tracked although the kernel writes into their memory, what it wrote is gone
//! for the next instance, and the calls that programs make most neither allocate nor cost more than their system call.
//!
//! These tests are here and not beside `hotfoot-wasi`, because counting system calls and allocations takes `unsafe`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Write as _;
use std::os::fd::FromRawFd as _;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use hotfoot::{Config, Engine, InstanceAllocationStrategy, InstancePre, Linker, Module, Store};
use hotfoot_wasi::host::fs::Dir;
use hotfoot_wasi::{I32Exit, MemoryOutputPipe, Perms, Stdio, Walk, WasiCtx, WasiCtxBuilder, p1};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: S11, all requests go to the system's allocator as they are.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: S11, by the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: S11, by the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// `run` uses what most programs use: arguments, standard input into two pages, standard output. It first checks that its
/// memory is fresh. `busy` makes the calls that must not allocate 1000 times. Only there is a clock: strict seccomp mode
/// forbids the instruction that the kernel's own code for user space reads the time with.
const GUEST: &str = r#"(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock_time_get (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_get" (func $fd_prestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 17)
  (data (i32.const 0) "\00\00\10\00\88\13\00\00")
  (data (i32.const 16) "\00\00\08\00\05\00\00\00\00\40\08\00\88\13\00\00")
  (func $ok (param i32) (if (local.get 0) (then unreachable)))
  (func $fresh
    (local $at i32)
    (local.set $at (i32.const 64))
    (loop $next
      (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then unreachable))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $next (i32.lt_u (local.get $at) (i32.mul (memory.size) (i32.const 65536))))))
  (func $calls
    (call $ok (call $args_sizes_get (i32.const 64) (i32.const 68)))
    (call $ok (call $args_get (i32.const 128) (i32.const 256)))
    (call $ok (call $fd_prestat_get (i32.const 3) (i32.const 72)))
    (call $ok (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 88)))
    (call $ok (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 92))))
  (func (export "run") (call $fresh) (call $calls))
  (func (export "vectored") (result i32)
    (call $fresh)
    (call $ok (call $fd_read (i32.const 0) (i32.const 16) (i32.const 2) (i32.const 88)))
    (call $ok (call $random_get (i32.const 900000) (i32.const 9000)))
    (i32.load (i32.const 88)))
  (func (export "busy") (local $i i32)
    (loop $next
      (call $calls)
      (call $ok (call $clock_time_get (i32.const 1) (i64.const 1) (i32.const 80)))
      (call $ok (call $random_get (i32.const 1000) (i32.const 100)))
      (call $ok (call $fd_read (i32.const 0) (i32.const 16) (i32.const 2) (i32.const 88)))
      (call $ok (call $fd_write (i32.const 1) (i32.const 16) (i32.const 2) (i32.const 88)))
      (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000)))))
  (func (export "exit") (call $proc_exit (i32.const 3)))
)"#;

fn pooled() -> (Engine, InstancePre<WasiCtx>) {
    let engine = Engine::new(Config::new().allocation_strategy(InstanceAllocationStrategy::pooling())).unwrap();
    let mut linker = Linker::new(&engine);
    p1::add_to_linker(&mut linker, |ctx| ctx).unwrap();
    let pre = linker.instantiate_pre(&Module::new(&engine, GUEST).unwrap()).unwrap();
    (engine, pre)
}

fn context(dir: &Dir) -> WasiCtx {
    let mut builder = WasiCtxBuilder::new();
    builder.args(&["guest", "argument"]).env("NAME", "value").inherit_stdio().opened_dir(dir, "/").build()
}

fn run(engine: &Engine, pre: &InstancePre<WasiCtx>, dir: &Dir) {
    let mut store = Store::new(engine, context(dir));
    let instance = pre.instantiate(&mut store).unwrap();
    instance.get_typed_func::<(), ()>(&mut store, "run").unwrap().call(&mut store, ()).unwrap();
}

/// Runs `body` in a child process whose standard input is endless and whose output vanishes, and which after `prepare`
/// may make no system call but read and write; says how it ended.
fn confined(prepare: impl FnOnce(), body: impl FnOnce()) -> i32 {
    // SAFETY: S11, the child only runs code that takes no lock which another thread of the test may hold for long, and
    // ends without running anything of this process.
    unsafe {
        match libc::fork() {
            0 => {
                let zero = libc::open(c"/dev/zero".as_ptr(), libc::O_RDONLY);
                let null = libc::open(c"/dev/null".as_ptr(), libc::O_WRONLY);
                let placed = libc::dup2(zero, 0) + libc::dup2(null, 1);
                prepare();
                let strict = libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_STRICT);
                body();
                libc::syscall(libc::SYS_exit, if strict == 0 && placed == 1 { 0 } else { 3 });
                unreachable!("exit does not return")
            }
            child => {
                assert!(child > 0, "fork failed");
                let mut status = 0;
                assert_eq!(libc::waitpid(child, &mut status, 0), child);
                status
            }
        }
    }
}

#[test]
fn warm_guests_make_no_system_call_but_their_own() {
    let (engine, pre) = pooled();
    let dir = Dir::open_ambient(".".as_ref(), Perms::READ_ONLY, Walk::Auto).unwrap();
    let warm_up = || (0..50).for_each(|_| run(&engine, &pre, &dir));
    // 400 are too few for decay, which asks the kernel once in 512 resets.
    let status = confined(warm_up, || (0..400).for_each(|_| run(&engine, &pre, &dir)));
    assert!(
        !libc::WIFSIGNALED(status),
        "the child made another system call and was killed by signal {}",
        libc::WTERMSIG(status)
    );
    assert_eq!(libc::WEXITSTATUS(status), 0);
}

#[test]
fn making_a_context_makes_no_system_call() {
    let dir = Dir::open_ambient(".".as_ref(), Perms::READ_ONLY, Walk::Auto).unwrap();
    let status = confined(|| drop(context(&dir)), || (0..100).for_each(|_| drop(context(&dir))));
    assert!(!libc::WIFSIGNALED(status), "killed by signal {}", libc::WTERMSIG(status));
    assert_eq!(libc::WEXITSTATUS(status), 0);
}

#[test]
fn what_the_kernel_wrote_is_gone_for_the_next_instance() {
    let (engine, pre) = pooled();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&[0xa5; 100_000]).unwrap();
    let contents = |store: &mut Store<WasiCtx>, instance: &hotfoot::Instance| {
        instance.get_memory(&mut *store, "memory").unwrap().data(&*store).to_vec()
    };
    let mut store = Store::new(&engine, WasiCtxBuilder::new().build());
    let instance = pre.instantiate(&mut store).unwrap();
    let fresh = contents(&mut store, &instance);
    drop(store);
    for round in 0..600 {
        // Sharing the file means sharing its offset: each round reads from the start again.
        let mut stdin = file.try_clone().unwrap();
        std::io::Seek::rewind(&mut stdin).unwrap();
        let mut store = Store::new(&engine, WasiCtxBuilder::new().stdin(Stdio::from(stdin)).build());
        let instance = pre.instantiate(&mut store).unwrap();
        let read = instance.get_typed_func::<(), u32>(&mut store, "vectored").unwrap().call(&mut store, ()).unwrap();
        assert_eq!(read, 5005);
        let spoiled = contents(&mut store, &instance);
        assert_eq!((&spoiled[0x80000..0x80005], spoiled[0x84000 + 4999]), (&[0xa5; 5][..], 0xa5), "{round}");
        drop(store);
        let mut store = Store::new(&engine, WasiCtxBuilder::new().build());
        let instance = pre.instantiate(&mut store).unwrap();
        assert!(contents(&mut store, &instance) == fresh, "round {round} left something behind");
    }
    assert_eq!(pre.idle_instances(), 1, "one place served all of them");
}

#[test]
fn frequent_calls_allocate_nothing() {
    let (engine, pre) = pooled();
    let zeros = std::fs::File::open("/dev/zero").unwrap();
    let null = std::fs::File::create("/dev/null").unwrap();
    let dir = Dir::open_ambient(".".as_ref(), Perms::READ_ONLY, Walk::Auto).unwrap();
    let mut builder = WasiCtxBuilder::new();
    let ctx = builder.arg("guest").stdin(zeros).stdout(null).opened_dir(&dir, "/").build();
    let mut store = Store::new(&engine, ctx);
    let instance = pre.instantiate(&mut store).unwrap();
    let busy = instance.get_typed_func::<(), ()>(&mut store, "busy").unwrap();
    busy.call(&mut store, ()).unwrap();
    let before = ALLOCATIONS.get();
    busy.call(&mut store, ()).unwrap();
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert!(before > 0, "nothing is counted");
}

/// A guest that ends itself leaves its place as clean as one that returns.
#[test]
fn an_exit_is_as_good_as_a_return() {
    let (engine, pre) = pooled();
    for _ in 0..100 {
        let output = MemoryOutputPipe::new(100);
        let mut store = Store::new(&engine, WasiCtxBuilder::new().stdout(output).build());
        let instance = pre.instantiate(&mut store).unwrap();
        let error = instance.get_typed_func::<(), ()>(&mut store, "exit").unwrap().call(&mut store, ()).unwrap_err();
        assert_eq!(error.downcast_ref::<I32Exit>(), Some(&I32Exit(3)));
    }
    assert_eq!(pre.idle_instances(), 1);
}

/// Writes nothing and waits: for 60 ms of a clock, for a pipe, or for a connection.
const WAITER: &str = r#"(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_accept" (func $sock_accept (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "\01")
  (data (i32.const 24) "\00\87\93\03")
  (data (i32.const 512) "\00\04\00\00\08\00\00\00")
  (func (export "sleep") (result i32) (call $poll_oneoff (i32.const 0) (i32.const 100) (i32.const 1) (i32.const 200)))
  (func (export "accept") (result i32) (call $sock_accept (i32.const 3) (i32.const 0) (i32.const 200)))
  (func (export "read") (result i32) (call $fd_read (i32.const 0) (i32.const 512) (i32.const 1) (i32.const 200)))
)"#;

extern "C" fn ignore(_signal: libc::c_int) {}

/// A signal ends a system call that waits. A guest must not notice: it sleeps for its whole time, though not for longer,
/// and a read goes on waiting for its byte.
#[test]
fn signals_neither_cut_a_wait_short_nor_begin_it_anew() {
    let engine = Engine::default();
    let mut linker = Linker::new(&engine);
    p1::add_to_linker(&mut linker, |ctx| ctx).unwrap();
    let (reader, mut writer) = std::io::pipe().unwrap();
    let stdin = Stdio::Fd(reader.into());
    let mut store = Store::new(&engine, WasiCtxBuilder::new().stdin(stdin).build());
    let instance = linker.instantiate(&mut store, &Module::new(&engine, WAITER).unwrap()).unwrap();
    let mut call = |name: &str| {
        let func = instance.get_typed_func::<(), u32>(&mut store, name).unwrap();
        let begin = std::time::Instant::now();
        (func.call(&mut store, ()).unwrap(), begin.elapsed())
    };
    // SAFETY: S11, the handler does nothing, and without SA_RESTART it ends system calls; the thread that is signalled
    // is this one, which outlives the scope.
    let this = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = ignore as extern "C" fn(libc::c_int) as usize;
        assert_eq!(libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()), 0);
        libc::pthread_self()
    };
    let (sent, enough) = (AtomicU32::new(0), AtomicBool::new(false));
    let signal = |count: u32| {
        while sent.fetch_add(1, Ordering::Relaxed) < count && !enough.load(Ordering::Relaxed) {
            std::thread::sleep(std::time::Duration::from_millis(10));
            // SAFETY: S11, as above.
            assert_eq!(unsafe { libc::pthread_kill(this, libc::SIGUSR1) }, 0);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| signal(1000));
        let (error, elapsed) = call("sleep");
        enough.store(true, Ordering::Relaxed);
        assert_eq!(error, 0);
        assert!(elapsed >= std::time::Duration::from_millis(60), "{elapsed:?}");
    });
    assert!(sent.swap(0, Ordering::Relaxed) < 1000, "each signal began the wait anew");
    enough.store(false, Ordering::Relaxed);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            signal(5);
            writer.write_all(b"x").unwrap();
        });
        assert_eq!(call("read").0, 0);
    });
}

/// A timeout reaches a guest wherever it waits.
#[test]
fn a_guest_that_waits_is_stopped() {
    let engine = Engine::default();
    let mut linker = Linker::new(&engine);
    p1::add_to_linker(&mut linker, |ctx| ctx).unwrap();
    let module = Module::new(&engine, WAITER).unwrap();
    for wait in ["read", "accept"] {
        let (reader, _writer) = std::io::pipe().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut builder = WasiCtxBuilder::new();
        builder.stdin(Stdio::Fd(reader.into())).preopened_socket(listener).unwrap();
        let mut store = Store::new(&engine, builder.build());
        let instance = linker.instantiate(&mut store, &module).unwrap();
        store.set_timeout(std::time::Duration::from_millis(20)).unwrap();
        let func = instance.get_typed_func::<(), u32>(&mut store, wait).unwrap();
        let error = func.call(&mut store, ()).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&hotfoot::Trap::Interrupt), "{wait}: {error:?}");
    }
}

/// Output of a guest on a terminal that is to be protected, and on one that is not.
#[test]
fn a_terminal_is_protected_where_that_is_asked() {
    let show = |protect: bool| {
        let (mut controller, mut terminal) = (0, 0);
        // SAFETY: S11, the kernel fills both numbers, which are ours alone from then on.
        let (mut controller, terminal) = unsafe {
            let (name, settings, size) = (std::ptr::null_mut(), std::ptr::null(), std::ptr::null());
            assert_eq!(libc::openpty(&mut controller, &mut terminal, name, settings, size), 0);
            (std::fs::File::from_raw_fd(controller), std::fs::File::from_raw_fd(terminal))
        };
        let mut ctx = WasiCtxBuilder::new().stdout(terminal).protect_terminal(protect).build();
        let mut memory = [0; 64];
        memory[..8].copy_from_slice(&[16, 0, 0, 0, 5, 0, 0, 0]);
        memory[16..21].copy_from_slice(b"\x1b[2J\n");
        p1::fd_write(&mut ctx, &mut p1::GuestMemory::new(&mut memory[..]), 1, 0, 1, 32).unwrap();
        assert_eq!(memory[32], 5, "all of it was taken");
        let mut seen = [0; 64];
        let len = std::io::Read::read(&mut controller, &mut seen).unwrap();
        String::from_utf8(seen[..len].to_vec()).unwrap()
    };
    assert_eq!(show(true), "␛[2J\r\n");
    assert_eq!(show(false), "\x1b[2J\r\n");
}

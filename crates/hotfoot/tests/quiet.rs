//! A warm instance asks nothing of the kernel, no system call and no page fault, and of other processors: no atomic
//! read-modify-write of a line that other threads use.
//!
//! System calls are counted by forbidding them: in strict seccomp mode the kernel kills a process at its first system
//! call other than read, write, exit and sigreturn. Atomic instructions are counted by running a child one instruction
//! at a time and looking at each.

use std::mem::MaybeUninit;

use hotfoot::{Config, Engine, InstanceAllocationStrategy, InstancePre, Linker, Module, Store};

const GUEST: &str = r#"(module
  (import "host" "log" (func $log (param i32)))
  (memory (export "memory") 17)
  (data (i32.const 0) "an image")
  (data (i32.const 1000000) "another end of it")
  (table $t 500 funcref)
  (elem (i32.const 7) $f)
  (global $g (mut i64) (i64.const 1))
  (func $f (param $i i32)
    (call $log (local.get $i))
    (global.set $g (i64.add (global.get $g) (i64.const 5)))
    (i32.store (i32.mul (local.get $i) (i32.const 16384)) (local.get $i)))
  (func (export "run") (local $i i32)
    (loop $next
      (call_indirect $t (param i32) (local.get $i) (i32.const 7))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $i) (i32.const 16)))))
)"#;

fn warm() -> (Engine, InstancePre<u64>) {
    let engine = Engine::new(Config::new().allocation_strategy(InstanceAllocationStrategy::pooling())).unwrap();
    let mut linker: Linker<u64> = Linker::new(&engine);
    linker
        .func_wrap("host", "log", |mut caller: hotfoot::Caller<'_, u64>, x: u32| *caller.data_mut() += u64::from(x))
        .unwrap();
    let pre = linker.instantiate_pre(&Module::new(&engine, GUEST).unwrap()).unwrap();
    (0..50).for_each(|_| run(&engine, &pre));
    (engine, pre)
}

fn run(engine: &Engine, pre: &InstancePre<u64>) {
    let mut store = Store::new(engine, 0);
    let instance = pre.instantiate(&mut store).unwrap();
    instance.get_typed_func::<(), ()>(&mut store, "run").unwrap().call(&mut store, ()).unwrap();
    assert_eq!(*store.data(), 15 * 16 / 2);
    instance.get_memory(&mut store, "memory").unwrap().write(&mut store, 16384, b"the host writes a hot page").unwrap();
}

#[test]
fn no_system_call() {
    let (engine, pre) = warm();
    // SAFETY: S11, the child only runs code that takes no lock and allocates nothing, which is what is tested, and ends
    // without running anything of this process.
    let status = unsafe {
        match libc::fork() {
            0 => {
                // 400 are too few for decay, which asks the kernel once in 512 resets.
                let strict = libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_STRICT);
                (0..400).for_each(|_| run(&engine, &pre));
                libc::syscall(libc::SYS_exit, if strict == 0 { 0 } else { 3 });
                unreachable!("exit does not return")
            }
            child => {
                assert!(child > 0, "fork failed");
                let mut status = 0;
                assert_eq!(libc::waitpid(child, &mut status, 0), child);
                status
            }
        }
    };
    assert!(
        !libc::WIFSIGNALED(status),
        "the child made a system call and was killed by signal {}",
        libc::WTERMSIG(status)
    );
    assert_eq!(libc::WEXITSTATUS(status), 0, "the child could not forbid itself system calls");
}

fn page_faults() -> i64 {
    let mut usage = MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: S11, the kernel fills the whole structure.
    unsafe {
        assert_eq!(libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()), 0);
        let usage = usage.assume_init();
        usage.ru_minflt + usage.ru_majflt
    }
}

#[test]
fn no_page_fault() {
    let (engine, pre) = warm();
    // The kernel may take a page away for reasons of its own; it will not in each of ten tries.
    let faults = (0..10).map(|_| {
        let before = page_faults();
        (0..40).for_each(|_| run(&engine, &pre));
        page_faults() - before
    });
    assert_eq!(faults.min(), Some(0));
}

/// Prefixes of x86-64 instructions, and where the opcode is.
fn is_atomic(code: &[u8]) -> bool {
    let mut at = 0;
    while matches!(code[at], 0x66 | 0xf2 | 0xf3 | 0x2e | 0x36 | 0x3e | 0x26 | 0x64 | 0x65) || code[at] & 0xf0 == 0x40 {
        at += 1;
    }
    // `lock`, or an `xchg` with memory, which locks without saying so.
    code[at] == 0xf0 || (matches!(code[at], 0x86 | 0x87) && code[at + 1] < 0xc0)
}

/// Steps through a stopped child until it stops itself again; how many instructions, and how many atomic ones.
fn step_through(child: libc::pid_t) -> (u32, u32) {
    /// Where `struct user` of x86-64 has the instruction pointer.
    const RIP: usize = 16 * 8;
    let (mut steps, mut atomic) = (0, 0);
    loop {
        let mut code = [0; 16];
        // SAFETY: S11, `ptrace` reads the child's registers and memory, and the kernel checks the addresses.
        let status = unsafe {
            let rip = libc::ptrace(libc::PTRACE_PEEKUSER, child, RIP, 0) as usize;
            for (word, bytes) in code.chunks_exact_mut(8).enumerate() {
                bytes.copy_from_slice(&libc::ptrace(libc::PTRACE_PEEKTEXT, child, rip + word * 8, 0).to_le_bytes());
            }
            let mut status = 0;
            assert_eq!(libc::ptrace(libc::PTRACE_SINGLESTEP, child, 0, 0), 0);
            assert_eq!(libc::waitpid(child, &mut status, 0), child);
            status
        };
        assert!(libc::WIFSTOPPED(status), "the child ended while it was looked at");
        if libc::WSTOPSIG(status) == libc::SIGSTOP {
            return (steps, atomic);
        }
        assert_eq!(libc::WSTOPSIG(status), libc::SIGTRAP);
        steps += 1;
        atomic += u32::from(is_atomic(&code));
    }
}

/// Four: a store and an instance are each taken from a shelf and given back to it, and a shelf has a lock that only its
/// own thread takes. A reference count, a counter or a free list that threads share would be a fifth.
#[test]
fn no_atomic_instruction_but_the_locks_of_its_own_shelves() {
    if std::env::consts::ARCH != "x86_64" {
        eprintln!("not checked: only x86-64 instructions can be told apart here");
        return;
    }
    let (engine, pre) = warm();
    // SAFETY: S11, as in `no_system_call`; the child stops before and after what is looked at.
    let (steps, atomic) = unsafe {
        match libc::fork() {
            0 => {
                libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
                run(&engine, &pre);
                libc::syscall(libc::SYS_tkill, libc::syscall(libc::SYS_gettid), libc::SIGSTOP);
                run(&engine, &pre);
                libc::syscall(libc::SYS_tkill, libc::syscall(libc::SYS_gettid), libc::SIGSTOP);
                libc::syscall(libc::SYS_exit, 0);
                unreachable!("exit does not return")
            }
            child => {
                assert!(child > 0, "fork failed");
                let mut status = 0;
                assert_eq!(libc::waitpid(child, &mut status, 0), child);
                assert!(libc::WIFSTOPPED(status) && libc::WSTOPSIG(status) == libc::SIGSTOP);
                let counts = step_through(child);
                libc::kill(child, libc::SIGKILL);
                libc::waitpid(child, &mut status, 0);
                counts
            }
        }
    };
    println!("{steps} instructions, {atomic} of them atomic");
    assert!(steps > 1000, "something was looked at: {steps}");
    assert_eq!(atomic, 4, "of {steps} instructions");
}

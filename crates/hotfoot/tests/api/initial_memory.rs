//! What memories begin with: mapped from the artifact or copied, it is the same, and only what is touched costs anything.

use hotfoot::{Config, Engine, Instance, Memory, Module, Store};

use super::call;

/// Where the long stretch begins, and how many bytes it has: neither is a multiple of a page.
const PLACE: usize = 70_001;
const LEN: usize = 300_007;

fn byte(at: usize) -> u8 {
    b'a' + (at % 23) as u8
}

/// A module with short data, long data with some zeroes in it, and short data over the long.
fn module() -> String {
    let long: String = (0..LEN).map(|at| byte(at) as char).collect();
    let (first, second) = long.split_at(200_000);
    let (place, next) = (PLACE, PLACE + 200_000);
    format!(
        r#"(module (memory (export "m") 10 20) (memory (export "n") i64 1)
            (data (i32.const 3) "short") (data (i32.const {place}) "{first}") (data (i32.const {next}) "{second}")
            (data (i32.const 500000) "alone") (data (memory 1) (i64.const 7) "other")
            (func (export "grow") (result i32) (memory.grow (i32.const 3)))
            (func (export "store") (param i32) (i32.store8 (local.get 0) (i32.const 1))))"#
    )
}

fn expected() -> Vec<u8> {
    let mut bytes = vec![0; 10 << 16];
    bytes[3..8].copy_from_slice(b"short");
    (0..LEN).for_each(|at| bytes[PLACE + at] = byte(at));
    bytes[500_000..500_005].copy_from_slice(b"alone");
    bytes
}

/// So many KiB of the mapping that an address is in are copies. (Pages of the file may count as dirty and as private, whoever
/// else has them mapped at the moment; they are never anonymous.)
fn own_kib(address: *const u8) -> u64 {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut inside = false;
    for line in maps.lines() {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let ends = range.map(|(start, end)| (usize::from_str_radix(start, 16), usize::from_str_radix(end, 16)));
        if let Some((Ok(start), Ok(end))) = ends {
            inside = (start..end).contains(&(address as usize));
        } else if let Some(size) = line.strip_prefix("Anonymous:").filter(|_| inside) {
            return size.trim().trim_end_matches(" kB").parse().unwrap();
        }
    }
    panic!("{address:?} is not mapped")
}

fn memory(store: &mut Store<()>, instance: Instance) -> Memory {
    instance.get_memory(store, "m").unwrap()
}

#[test]
fn what_is_mapped_is_what_would_have_been_copied() {
    let dir = std::env::temp_dir().join(format!("hotfoot-initial-{}", std::process::id()));
    for (cow, reservation) in [(true, 4 << 30), (false, 4 << 30), (true, 0)] {
        let engine = Engine::new(
            Config::new().memory_init_cow(cow).memory_reservation(reservation).memory_reservation_for_growth(0),
        )
        .unwrap();
        let compiled = Module::new(&engine, module()).unwrap();
        std::fs::write(&dir, compiled.serialize().unwrap()).unwrap();
        // SAFETY: S6, an artifact of this engine, which nobody changes.
        let read = unsafe { Module::deserialize_file(&engine, &dir) }.unwrap();
        for module in [compiled, read] {
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[]).unwrap();
            let memory = memory(&mut store, instance);
            let middle = memory.data_ptr(&store).wrapping_add(PLACE + 100_000);
            let copied = own_kib(middle);
            assert_eq!(copied <= 64, cow, "{copied} KiB were copied");
            assert!(memory.data(&store) == expected(), "mapped: {cow}");
            let other = instance.get_memory(&mut store, "n").unwrap();
            assert_eq!(other.data(&store)[..13], *b"\0\0\0\0\0\0\0other\0");

            // What one instance writes, the next does not see; growing keeps it, also where the memory moves.
            call::<_, i32, ()>(&mut store, instance, "store", (PLACE + 100_000) as i32).unwrap();
            assert!(!cow || own_kib(middle) <= copied + 4, "one page was copied");
            assert_eq!(call::<_, (), i32>(&mut store, instance, "grow", ()).unwrap(), 10);
            let mut bytes = expected();
            bytes[PLACE + 100_000] = 1;
            bytes.resize(13 << 16, 0);
            assert!(memory.data(&store) == bytes, "grown, mapped: {cow}");
            let next = Instance::new(&mut store, &module, &[]).unwrap();
            let next = self::memory(&mut store, next);
            assert!(next.data(&store) == expected(), "the next, mapped: {cow}");

            // A snapshot finds what nobody has touched.
            let fresh = Instance::new(&mut store, &module, &[]).unwrap();
            let snapshot = fresh.snapshot(&mut store).unwrap();
            let again = snapshot.instantiate(&mut store).unwrap();
            let again = self::memory(&mut store, again);
            assert!(again.data(&store) == expected(), "a snapshot, mapped: {cow}");
        }
    }
    std::fs::remove_file(&dir).unwrap();
}

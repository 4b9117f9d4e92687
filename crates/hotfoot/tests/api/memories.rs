//! Linear memories: growing in place and moving, up to every limit and one past it, from both sides.

use hotfoot::{Caller, Config, Engine, Func, Instance, Memory, MemoryType, Store, Trap};

use super::{call, engines, instantiate};

const PAGE: u64 = 1 << 16;

const GROWS: &str = r#"(module (memory (export "m") 1 10)
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "size") (result i32) (memory.size))
    (func (export "store") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
    (func (export "load") (param i32) (result i32) (i32.load (local.get 0))))"#;

#[test]
fn growth_keeps_contents_and_adds_zeros() {
    for (kind, engine) in engines() {
        let mut store = Store::new(&engine, ());
        let instance = instantiate(&mut store, GROWS, &[]);
        let memory = instance.get_memory(&mut store, "m").unwrap();
        let last = |pages: u64| (pages * PAGE - 4) as i32;
        for pages in 1..10u64 {
            call::<_, (i32, i32), ()>(&mut store, instance, "store", (last(pages), pages as i32)).unwrap();
            let past = call::<_, i32, i32>(&mut store, instance, "load", last(pages) + 1).unwrap_err();
            assert_eq!(past.downcast_ref::<Trap>(), Some(&Trap::MemoryOutOfBounds), "{kind}");
            let grown = if kind == "pinned" || kind == "no reservation" || pages % 2 == 0 {
                call::<_, i32, i32>(&mut store, instance, "grow", 1).unwrap() as u64
            } else {
                memory.grow(&mut store, 1).unwrap()
            };
            assert_eq!(grown, pages, "{kind}");
            assert_eq!(call::<_, (), i32>(&mut store, instance, "size", ()).unwrap() as u64, pages + 1, "{kind}");
            assert_eq!((memory.size(&store), memory.data_size(&store) as u64), (pages + 1, (pages + 1) * PAGE));
            for old in 1..=pages {
                assert_eq!(call::<_, i32, i32>(&mut store, instance, "load", last(old)).unwrap(), old as i32, "{kind}");
            }
            assert!(memory.data(&store)[(pages * PAGE) as usize..].iter().all(|byte| *byte == 0), "{kind}");
        }
        assert_eq!(call::<_, i32, i32>(&mut store, instance, "grow", 0).unwrap(), 10, "{kind}");
        for delta in [1, 2, -1, i32::MAX, i32::MIN] {
            assert_eq!(call::<_, i32, i32>(&mut store, instance, "grow", delta).unwrap(), -1, "{kind}: {delta}");
        }
        for delta in [1, 1 << 16, u64::MAX] {
            assert!(memory.grow(&mut store, delta).is_err(), "{kind}");
        }
        assert_eq!(memory.grow(&mut store, 0).unwrap(), 10, "{kind}");
    }
}

/// A memory that has used up its address space moves, and everyone who knows it finds it again.
#[test]
fn a_memory_that_moves_is_found_by_all_who_share_it() {
    let mut config = Config::new();
    config.memory_reservation(2 * PAGE).memory_guard_size(PAGE).memory_reservation_for_growth(0);
    let engine = Engine::new(&config).unwrap();
    let mut store = Store::new(&engine, ());
    let owner = instantiate(&mut store, GROWS, &[]);
    let memory = owner.get_memory(&mut store, "m").unwrap();
    let user = instantiate(
        &mut store,
        r#"(module (import "" "m" (memory 1))
            (func (export "across") (param i32) (result i32 i32 i32)
                (i32.store (i32.const 8) (i32.const 1))
                (memory.grow (local.get 0))
                (i32.add (i32.load (i32.const 8)) (i32.load (i32.const 16)))
                (memory.size)))"#,
        &[memory.into()],
    );
    memory.write(&mut store, 16, &41u32.to_le_bytes()).unwrap();
    let mut addresses = vec![memory.data_ptr(&store)];
    for pages in 1..10 {
        let results: (i32, i32, i32) = call(&mut store, user, "across", 1).unwrap();
        assert_eq!(results, (pages, 42, pages + 1));
        assert_eq!(call::<_, i32, i32>(&mut store, owner, "load", 16).unwrap(), 41);
        assert_eq!(call::<_, (), i32>(&mut store, owner, "size", ()).unwrap(), pages + 1);
        addresses.push(memory.data_ptr(&store));
    }
    addresses.dedup();
    assert!(addresses.len() > 1, "the memory moved at least once");
}

#[test]
fn a_memory_that_may_not_move_stays_within_its_reservation() {
    let engine =
        Engine::new(Config::new().memory_reservation(3 * PAGE).memory_guard_size(PAGE).memory_may_move(false)).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = instantiate(&mut store, GROWS, &[]);
    assert_eq!(call::<_, i32, i32>(&mut store, instance, "grow", 2).unwrap(), 1);
    assert_eq!(call::<_, i32, i32>(&mut store, instance, "grow", 1).unwrap(), -1);
    assert_eq!(call::<_, i32, i32>(&mut store, instance, "load", 3 * PAGE as i32 - 4).unwrap(), 0);
    assert!(call::<_, i32, i32>(&mut store, instance, "load", 3 * PAGE as i32 - 3).is_err());
}

#[test]
fn a_memory_grows_to_all_that_32_bits_reach_and_no_further() {
    for (kind, engine) in engines() {
        let mut store = Store::new(&engine, ());
        let instance = instantiate(
            &mut store,
            r#"(module (memory 0)
                (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
                (func (export "size") (result i32) (memory.size))
                (func (export "last") (result i32)
                    (i32.store8 (i32.const -1) (i32.const 9)) (i32.load8_u (i32.const -1)))
                (func (export "past") (result i32) (i32.load (i32.const -3)))
                (func (export "far") (result i32) (i32.load8_u offset=1 (i32.const -1))))"#,
            &[],
        );
        assert!(call::<_, (), i32>(&mut store, instance, "last", ()).is_err(), "{kind}");
        assert_eq!(call::<_, i32, i32>(&mut store, instance, "grow", 65537).unwrap(), -1, "{kind}");
        assert_eq!(call::<_, i32, i32>(&mut store, instance, "grow", 65536).unwrap(), 0, "{kind}");
        assert_eq!(call::<_, (), i32>(&mut store, instance, "size", ()).unwrap(), 65536, "{kind}");
        assert_eq!(call::<_, i32, i32>(&mut store, instance, "grow", 1).unwrap(), -1, "{kind}");
        assert_eq!(call::<_, (), i32>(&mut store, instance, "last", ()).unwrap(), 9, "{kind}");
        for export in ["past", "far"] {
            let error = call::<_, (), i32>(&mut store, instance, export, ()).unwrap_err();
            assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::MemoryOutOfBounds), "{kind}: {export}");
        }
    }
}

#[test]
fn an_empty_memory_has_no_byte() {
    for (kind, engine) in engines() {
        let mut store = Store::new(&engine, ());
        let instance = instantiate(
            &mut store,
            r#"(module (memory (export "m") 0 0) (data (i32.const 0) "")
                (func (export "load") (result i32) (i32.load8_u (i32.const 0)))
                (func (export "bulk") (memory.fill (i32.const 0) (i32.const 1) (i32.const 0))))"#,
            &[],
        );
        let memory = instance.get_memory(&mut store, "m").unwrap();
        assert!(memory.data(&store).is_empty() && memory.data_mut(&mut store).is_empty(), "{kind}");
        assert!(call::<_, (), i32>(&mut store, instance, "load", ()).is_err(), "{kind}");
        call::<_, (), ()>(&mut store, instance, "bulk", ()).unwrap();
        assert!(memory.grow(&mut store, 1).is_err(), "{kind}");
        assert!(memory.read(&store, 0, &mut []).is_ok() && memory.read(&store, 1, &mut []).is_err(), "{kind}");
    }
}

#[test]
fn huge_addresses_of_64_bits_are_out_of_bounds() {
    for (kind, engine) in engines() {
        let mut store = Store::new(&engine, ());
        let instance = instantiate(
            &mut store,
            r#"(module (memory (export "m") i64 1 3)
                (func (export "plain") (param i64) (result i64) (i64.load (local.get 0)))
                (func (export "near") (param i64) (result i64) (i64.load offset=0x1000 (local.get 0)))
                (func (export "far") (param i64) (result i64) (i64.load offset=0x100000000 (local.get 0)))
                (func (export "most") (param i64) (result i64) (i64.load offset=0xffffffffffffffff (local.get 0)))
                (func (export "grow") (param i64) (result i64) (memory.grow (local.get 0))))"#,
            &[],
        );
        let edges = [
            u64::MAX,
            u64::MAX - 7,
            1 << 63,
            (1 << 63) - 1,
            1 << 32,
            (1 << 48) - 8,
            PAGE - 7,
            PAGE,
            0u64.wrapping_sub(0x1000),
        ];
        for export in ["plain", "near", "far", "most"] {
            for address in edges {
                let error = call::<_, u64, u64>(&mut store, instance, export, address).unwrap_err();
                let trap = error.downcast_ref::<Trap>();
                assert_eq!(trap, Some(&Trap::MemoryOutOfBounds), "{kind}: {export} of {address:#x}");
            }
        }
        assert_eq!(call::<_, u64, u64>(&mut store, instance, "plain", PAGE - 8).unwrap(), 0, "{kind}");
        assert_eq!(call::<_, u64, u64>(&mut store, instance, "near", PAGE - 0x1008).unwrap(), 0, "{kind}");
        for delta in [3, u64::MAX, 1 << 48, (1 << 48) - 1, 1 << 63] {
            assert_eq!(
                call::<_, u64, u64>(&mut store, instance, "grow", delta).unwrap(),
                u64::MAX,
                "{kind}: {delta:#x}"
            );
        }
        assert_eq!(call::<_, u64, u64>(&mut store, instance, "grow", 2).unwrap(), 1, "{kind}");
        assert_eq!(call::<_, u64, u64>(&mut store, instance, "plain", 3 * PAGE - 8).unwrap(), 0, "{kind}");
        assert!(instance.get_memory(&mut store, "m").unwrap().ty(&store).index64, "{kind}");
    }
}

#[test]
fn types_of_memories_that_cannot_be_are_refused() {
    for (kind, engine) in engines() {
        let mut store = Store::new(&engine, ());
        for ty in [
            MemoryType::new(u32::MAX, None),
            MemoryType::new(65537, None),
            MemoryType::new(2, Some(1)),
            MemoryType::new64(1 << 48, None),
            MemoryType::new64(u64::MAX, None),
        ] {
            assert!(Memory::new(&mut store, ty).is_err(), "{kind}: {ty:?}");
        }
        let memory = Memory::new(&mut store, MemoryType::new(1, None)).unwrap();
        assert_eq!(memory.size(&store), 1, "{kind}");
    }
}

#[test]
fn reads_and_writes_of_the_host_stay_inside() {
    let mut store = Store::new(&Engine::default(), 7);
    let memory = Memory::new(&mut store, MemoryType::new(1, Some(2))).unwrap();
    let len = PAGE as usize;
    let mut buffer = [1; 8];
    memory.write(&mut store, len - 8, &[5; 8]).unwrap();
    memory.read(&store, len - 8, &mut buffer).unwrap();
    assert_eq!(buffer, [5; 8]);
    for offset in [len - 7, len, usize::MAX - 3, usize::MAX] {
        assert!(memory.read(&store, offset, &mut buffer).is_err(), "{offset}");
        assert!(memory.write(&mut store, offset, &[9; 8]).is_err(), "{offset}");
    }
    assert_eq!(buffer, [5; 8], "a failed read changes nothing");
    assert_eq!(memory.data(&store)[len - 8..], [5; 8], "a failed write changes nothing");
    let (bytes, data) = memory.data_and_store_mut(&mut store);
    bytes[0] = *data;
    assert_eq!(memory.data(&store)[0], 7);
    assert_eq!(memory.page_size(&store), PAGE);
}

#[test]
fn several_memories_do_not_touch() {
    for (kind, engine) in engines() {
        let mut store = Store::new(&engine, ());
        let instance: Instance = instantiate(
            &mut store,
            r#"(module (memory $a (export "a") 1) (memory $b (export "b") 1) (memory $c (export "c") i64 1)
                (func (export "run")
                    (memory.fill $a (i32.const 0) (i32.const 1) (i32.const 65536))
                    (memory.fill $c (i64.const 0) (i32.const 3) (i64.const 65536))
                    (memory.copy $b $a (i32.const 8) (i32.const 0) (i32.const 8))
                    (memory.copy $b $c (i32.const 16) (i64.const 0) (i32.const 8))
                    (drop (memory.grow $b (i32.const 1)))))"#,
            &[],
        );
        call::<_, (), ()>(&mut store, instance, "run", ()).unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| instance.get_memory(&mut store, name).unwrap());
        assert!(a.data(&store).iter().all(|byte| *byte == 1), "{kind}");
        assert!(c.data(&store).iter().all(|byte| *byte == 3), "{kind}");
        let bytes = b.data(&store);
        assert_eq!((&bytes[..8], &bytes[8..16], &bytes[16..24]), (&[0; 8][..], &[1; 8][..], &[3; 8][..]), "{kind}");
        assert!(bytes[24..].iter().all(|byte| *byte == 0) && bytes.len() as u64 == 2 * PAGE, "{kind}");
    }
}

/// What is read of a memory before a loop is kept in it, unless something in the loop can make the memory longer.
#[test]
fn a_loop_sees_its_memory_grow() {
    let text = |grow: &str| {
        format!(
            r#"(module (import "" "grow" (func $host)) (memory (export "memory") 1)
            (table funcref (elem $grow))
            (func $grow (drop (memory.grow (i32.const 1))))
            (func (export "run") (param $at i32) (result i32) (local $round i32) (local $sum i32)
                (loop $rounds
                    (loop $quiet
                        (local.set $sum (i32.add (local.get $sum) (i32.load8_u (local.get $at))))
                        (br_if $quiet (i32.and (local.tee $at (i32.add (local.get $at) (i32.const 16384))) (i32.const 65535))))
                    {grow}
                    (i32.store8 (local.get $at) (i32.const 1))
                    (br_if $rounds (i32.lt_u (local.tee $round (i32.add (local.get $round) (i32.const 1))) (i32.const 8))))
                (local.get $sum)))"#
        )
    };
    let mut bare = Config::new();
    bare.signals_based_traps(false);
    let mut small = Config::new();
    small.memory_reservation(0).memory_guard_size(0);
    for config in [Config::new(), bare, small] {
        let engine = Engine::new(&config).unwrap();
        for grow in
            ["(drop (memory.grow (i32.const 1)))", "(call $grow)", "(call_indirect (i32.const 0))", "(call $host)"]
        {
            let mut store = Store::new(&engine, ());
            let host = Func::wrap(&mut store, |mut caller: Caller<'_, ()>| -> hotfoot::Result<()> {
                let memory = caller.get_export("memory").and_then(|export| export.into_memory()).unwrap();
                memory.grow(&mut caller, 1).map(drop)
            });
            let instance = instantiate(&mut store, &text(grow), &[host.into()]);
            assert_eq!(call::<_, i32, i32>(&mut store, instance, "run", 0).unwrap(), 7, "{grow}");
        }
    }
}

//! What operators cost is chosen by the embedder, and part of what an artifact is made for.

use hotfoot::{
    Config, Engine, Instance, Module, OperatorCost, OptLevel, Store, Trap, VariableOperatorCost, WasmParams,
    WasmResults,
};

use super::{compile, instantiate};

fn engine(cost: OperatorCost) -> Engine {
    Engine::new(Config::new().consume_fuel(true).operator_cost(cost)).unwrap()
}

/// Fuel that a call consumes.
fn consumed<P: WasmParams, R: WasmResults>(store: &mut Store<()>, instance: Instance, name: &str, params: P) -> u64 {
    const FUEL: u64 = 1 << 40;
    store.set_fuel(FUEL).unwrap();
    let func = instance.get_typed_func::<P, R>(&mut *store, name).unwrap();
    func.call(&mut *store, params).unwrap_or_else(|error| panic!("{name}: {error:?}"));
    FUEL - store.get_fuel().unwrap()
}

const TEXT: &str = r#"(module
    (func $square (param i32) (result i32) (i32.mul (local.get 0) (local.get 0)))
    (func (export "squares") (param i32) (result i32) (local i32)
        (loop $l
            (local.set 1 (i32.add (local.get 1) (call $square (local.get 0))))
            (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
        (nop)
        (block (br_if 0 (local.get 1)) (unreachable))
        (local.get 1)))"#;

/// Counted by hand; whether `$square` is translated in place does not show.
#[test]
fn operators_cost_what_was_chosen() {
    let cost = OperatorCost {
        Nop: 3,
        Block: 5,
        Loop: 7,
        End: 11,
        Call: 13,
        LocalGet: 17,
        I32Mul: 255,
        I32Const: 0,
        ..OperatorCost::new()
    };
    let square = 17 + 17 + 255 + 11;
    let turn = 17 + 17 + 13 + square + 1 + 1 + (17 + 1 + 1 + 1);
    // The block is left before its end.
    let rest = 7 + 11 + 3 + (5 + 17 + 1) + 17 + 11;
    for level in [OptLevel::None, OptLevel::Speed, OptLevel::SpeedAndSize] {
        let mut config = Config::new();
        config.consume_fuel(true).operator_cost(cost.clone()).cranelift_opt_level(level);
        let mut store = Store::new(&Engine::new(&config).unwrap(), ());
        let instance = instantiate(&mut store, TEXT, &[]);
        for turns in [1, 2, 10] {
            let fuel = consumed::<i32, i32>(&mut store, instance, "squares", turns);
            assert_eq!(fuel, turns as u64 * turn + rest, "{turns} turns at {level:?}");
        }
    }
}

#[test]
fn what_costs_nothing_consumes_nothing() {
    let cost = OperatorCost { I32Const: 0, LocalSet: 0, ..OperatorCost::new() };
    let mut store = Store::new(&engine(cost), ());
    let text = r#"(module (func (export "f") (local i32) (local.set 0 (i32.const 5)))
        (func (export "g") (local i32) (local.set 0 (i32.popcnt (i32.const 5)))))"#;
    let instance = instantiate(&mut store, text, &[]);
    assert_eq!(consumed::<(), ()>(&mut store, instance, "f", ()), 0);
    assert_eq!(consumed::<(), ()>(&mut store, instance, "g", ()), 1);
}

const MANY: &str = r#"(module
    (memory 1 100) (table $t 10 1000000 funcref) (data $d "0123456789") (elem $e funcref (ref.null func) (ref.null func))
    (type $bytes (array (mut i8))) (type $funcs (array (mut funcref)))
    (global $array (mut (ref $bytes)) (array.new_default $bytes (i32.const 1000)))
    (global $references (mut (ref $funcs)) (array.new_default $funcs (i32.const 10)))
    (func (export "memory.grow") (param i32) (drop (memory.grow (local.get 0))))
    (func (export "memory.copy") (param i32) (memory.copy (i32.const 0) (i32.const 1) (local.get 0)))
    (func (export "memory.fill") (param i32) (memory.fill (i32.const 0) (i32.const 1) (local.get 0)))
    (func (export "memory.init") (param i32) (memory.init $d (i32.const 0) (i32.const 0) (local.get 0)))
    (func (export "table.grow") (param i32) (drop (table.grow $t (ref.null func) (local.get 0))))
    (func (export "table.copy") (param i32) (table.copy (i32.const 0) (i32.const 1) (local.get 0)))
    (func (export "table.fill") (param i32) (table.fill $t (i32.const 0) (ref.null func) (local.get 0)))
    (func (export "table.init") (param i32) (table.init $t $e (i32.const 0) (i32.const 0) (local.get 0)))
    (func (export "array.copy") (param i32) (array.copy $bytes $bytes (global.get $array) (i32.const 0)
        (global.get $array) (i32.const 1) (local.get 0)))
    (func (export "array.fill") (param i32) (array.fill $bytes (global.get $array) (i32.const 0) (i32.const 1) (local.get 0)))
    (func (export "array.new_data") (param i32) (drop (array.new_data $bytes $d (i32.const 0) (local.get 0))))
    (func (export "array.init_data") (param i32) (array.init_data $bytes $d (global.get $array) (i32.const 0)
        (i32.const 0) (local.get 0)))
    (func (export "array.new_elem") (param i32) (drop (array.new_elem $funcs $e (i32.const 0) (local.get 0))))
    (func (export "array.init_elem") (param i32) (array.init_elem $funcs $e (global.get $references) (i32.const 0)
        (i32.const 0) (local.get 0)))
    (func (export "array.new_default") (param i32) (drop (array.new_default $bytes (local.get 0))))
    (func (export "array.new") (param i32) (drop (array.new $bytes (i32.const 7) (local.get 0)))))"#;

/// Every operator that works on many, what it costs for each by default, and a way to make that something else.
type Many = (&'static str, u64, fn(&mut VariableOperatorCost) -> &mut u8);

const OPERATORS: [Many; 16] = [
    ("memory.grow", 0, |cost| &mut cost.memory_grow_per_page),
    ("memory.copy", 1, |cost| &mut cost.memory_copy_per_byte),
    ("memory.fill", 1, |cost| &mut cost.memory_fill_per_byte),
    ("memory.init", 1, |cost| &mut cost.memory_init_per_byte),
    ("table.grow", 1, |cost| &mut cost.table_grow_per_element),
    ("table.copy", 1, |cost| &mut cost.table_copy_per_element),
    ("table.fill", 1, |cost| &mut cost.table_fill_per_element),
    ("table.init", 1, |cost| &mut cost.table_init_per_element),
    ("array.copy", 1, |cost| &mut cost.array_copy_per_element),
    ("array.fill", 1, |cost| &mut cost.array_fill_per_element),
    ("array.new_data", 1, |cost| &mut cost.array_new_data_per_element),
    ("array.init_data", 1, |cost| &mut cost.array_init_data_per_element),
    ("array.new_elem", 1, |cost| &mut cost.array_new_elem_per_element),
    ("array.init_elem", 1, |cost| &mut cost.array_init_elem_per_element),
    ("array.new_default", 1, |cost| &mut cost.array_new_default_per_element),
    ("array.new", 1, |cost| &mut cost.array_new_per_element),
];

#[test]
fn operators_on_many_cost_what_was_chosen_for_each() {
    let mut chosen = OperatorCost::new();
    for (number, (_, _, field)) in OPERATORS.iter().enumerate() {
        *field(&mut chosen.variable) = number as u8 * 16;
    }
    for (is_default, cost) in [(true, OperatorCost::new()), (false, chosen)] {
        let mut store = Store::new(&engine(cost), ());
        store.set_fuel(1 << 20).unwrap();
        let instance = instantiate(&mut store, MANY, &[]);
        for (number, (name, default, _)) in OPERATORS.iter().enumerate() {
            let each = if is_default { *default } else { number as u64 * 16 };
            let none = consumed::<i32, ()>(&mut store, instance, name, 0);
            let two = consumed::<i32, ()>(&mut store, instance, name, 2);
            assert_eq!(two - none, 2 * each, "{name}, defaults: {is_default}");
        }
    }
}

#[test]
fn the_largest_amount_at_the_largest_cost_does_not_wrap_around() {
    let variable = VariableOperatorCost { table_grow_per_element: 255, ..VariableOperatorCost::new() };
    let mut store = Store::new(&engine(OperatorCost { variable, ..OperatorCost::new() }), ());
    let text = r#"(module (table $t i64 0 funcref) (type $a (array i8))
        (func (export "table") (drop (table.grow $t (ref.null func) (i64.const -1))))
        (func (export "array") (drop (array.new_default $a (i32.const -1)))))"#;
    let instance = instantiate(&mut store, text, &[]);
    for (name, trap) in [("table", Trap::OutOfFuel), ("array", Trap::AllocationTooLarge)] {
        store.set_fuel(1 << 62).unwrap();
        let func = instance.get_typed_func::<(), ()>(&mut store, name).unwrap();
        assert_eq!(func.call(&mut store, ()).unwrap_err().downcast_ref(), Some(&trap), "{name}");
    }
}

#[test]
fn an_artifact_made_for_other_costs_is_refused() {
    let cost = OperatorCost { I32Mul: 9, ..OperatorCost::new() };
    let costly = engine(cost.clone());
    let artifact = compile(&costly, TEXT).serialize().unwrap();
    let load = |engine: &Engine| {
        // SAFETY: S6, made just now, by this program.
        unsafe { Module::deserialize(engine, &artifact) }
    };
    load(&engine(cost)).unwrap();
    let error = load(&engine(OperatorCost::new())).unwrap_err().to_string();
    assert!(error.contains("`operator_cost=I32Mul=9`") && error.contains("`operator_cost=`"), "{error}");
    assert!(load(&Engine::new(Config::new().consume_fuel(true)).unwrap()).is_err());
    // Where nothing is consumed, nothing costs anything.
    let idle = Engine::new(Config::new().operator_cost(OperatorCost { I32Mul: 9, ..OperatorCost::new() })).unwrap();
    let artifact = compile(&idle, TEXT).serialize().unwrap();
    // SAFETY: S6, as above.
    unsafe { Module::deserialize(&Engine::default(), &artifact) }.unwrap();
}

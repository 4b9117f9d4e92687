//! Branch hints: they move code and change nothing else.

use hotfoot::{Engine, Module, Store};

use super::{call, instantiate};

/// A function of two conditions through every kind of branch that takes a hint, each with this hint.
fn guest(hint: &str) -> String {
    let hint = if hint.is_empty() { String::new() } else { format!(r#"(@metadata.code.branch_hint "\{hint}")"#) };
    format!(
        r#"(module (func (export "f") (param i32 i32) (result i32) (local $n i32)
            (block $out
                {hint} (br_if $out (local.get 0))
                (local.set $n (i32.const 1))
                {hint} (if (local.get 1)
                    (then (loop $again
                        (local.set $n (i32.add (local.get $n) (i32.const 10)))
                        {hint} (br_if $again (i32.lt_u (local.get $n) (i32.const 100)))))
                    (else
                        {hint} (if (i32.eqz (local.get 0)) (then (local.set $n (i32.const 7))))
                        (drop (block $carried (result i32)
                            {hint} (br_if $carried (i32.const 5) (local.get 0))
                            (local.set $n (i32.add (local.get $n) (i32.const 1000)))))))
                {hint} (if (i32.const 0) (then (return (i32.const -1)))))
            (local.get $n)))"#
    )
}

#[test]
fn hints_change_the_code_and_not_its_meaning() {
    let engine = Engine::default();
    let code = |hint| engine.precompile_module(guest(hint).as_bytes()).unwrap();
    assert_ne!(code(""), code("00"));
    assert_ne!(code("00"), code("01"));
    for hint in ["", "00", "01"] {
        let mut store = Store::new(&engine, ());
        let instance = instantiate(&mut store, &guest(hint), &[]);
        for (operands, expected) in [((0, 0), 1007), ((0, 1), 101), ((1, 0), 0), ((1, 1), 0)] {
            let result: i32 = call(&mut store, instance, "f", operands).unwrap();
            assert_eq!(result, expected, "{operands:?} with the hint {hint:?}");
        }
    }
}

/// No one validates custom sections: hints that make no sense are ignored.
#[test]
fn senseless_hints_are_ignored() {
    let engine = Engine::default();
    let module = wat::parse_str(r#"(module (func (export "f") (result i32) (if (result i32) (i32.const 1) (then (i32.const 3)) (else (i32.const 4)))))"#).unwrap();
    let section = |body: &[u8]| {
        let name = b"metadata.code.branch_hint";
        let mut content = vec![name.len() as u8];
        content.extend_from_slice(name);
        content.extend_from_slice(body);
        let mut section = vec![0, content.len() as u8];
        section.extend(content);
        section
    };
    // Where the code section begins: hints stand before it.
    let code = module.windows(2).rposition(|bytes| bytes[0] == 10).unwrap();
    let bodies: [&[u8]; 6] = [
        &[],
        &[1, 0, 1, 0, 1, 1],
        &[1, 0, 2, 200, 1, 1, 0, 3, 1, 1],
        &[1, 9, 1, 3, 1, 1],
        &[1, 0, 1, 3, 2, 9],
        &[255, 255, 255, 255, 15, 0, 255, 255, 255, 255, 15],
    ];
    for body in bodies {
        let mut bytes = module[..code].to_vec();
        bytes.extend(section(body));
        bytes.extend(&module[code..]);
        let module = Module::new(&engine, &bytes).unwrap_or_else(|error| panic!("{body:?}: {error:#}"));
        let mut store = Store::new(&engine, ());
        let instance = hotfoot::Instance::new(&mut store, &module, &[]).unwrap();
        assert_eq!(call::<_, (), i32>(&mut store, instance, "f", ()).unwrap(), 3);
    }
}

//! Pass text to WebAssembly and back through its memory: the way of everything that is larger than a number.
//!
//! `cargo run --example memory`

use hotfoot::{Engine, Instance, Module, Result, Store, Trap};

const SHOUT: &str = r#"
    (module
      (memory (export "memory") 1 4)
      ;; Makes `len` bytes from `at` upper-case, if they are ASCII letters.
      (func (export "shout") (param $at i32) (param $len i32)
        (local $end i32) (local $byte i32)
        (local.set $end (i32.add (local.get $at) (local.get $len)))
        (block $done
          (loop $next
            (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
            (local.set $byte (i32.load8_u (local.get $at)))
            (if (i32.lt_u (i32.sub (local.get $byte) (i32.const 97)) (i32.const 26))
              (then (i32.store8 (local.get $at) (i32.sub (local.get $byte) (i32.const 32)))))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br $next)))))
"#;

fn main() -> Result<()> {
    let engine = Engine::default();
    let module = Module::new(&engine, SHOUT)?;
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[])?;
    let memory = instance.get_memory(&mut store, "memory").expect("the module exports its memory");
    let shout = instance.get_typed_func::<(i32, i32), ()>(&mut store, "shout")?;

    let words = b"hello from the guest";
    memory.write(&mut store, 1024, words)?;
    shout.call(&mut store, (1024, words.len() as i32))?;
    let mut answer = vec![0; words.len()];
    memory.read(&store, 1024, &mut answer)?;
    println!("{}", String::from_utf8_lossy(&answer));

    println!("{} page, {} bytes", memory.size(&store), memory.data_size(&store));
    memory.grow(&mut store, 3)?;
    println!("{} pages after growing; a fifth: {}", memory.size(&store), memory.grow(&mut store, 1).is_err());

    // Outside of the memory is an error for us and a trap for the guest; neither can reach anything else.
    assert!(memory.read(&store, 4 * 65536 - 1, &mut [0; 2]).is_err());
    let error = shout.call(&mut store, (4 * 65536 - 1, 2)).unwrap_err();
    assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::MemoryOutOfBounds));
    println!("past the end: {}", error.downcast_ref::<Trap>().expect("an access out of bounds traps"));
    Ok(())
}

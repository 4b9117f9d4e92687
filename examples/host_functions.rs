//! Give WebAssembly functions of ours: closures with plain Rust types, which see the store's data, and whose errors
//! come back to the caller of the guest as they were.
//!
//! `cargo run --example host_functions`

use std::fmt;

use hotfoot::{Caller, Engine, Linker, Module, Result, Store, Trap};

const GUEST: &str = r#"
    (module
      (import "shop" "price" (func $price (param i32) (result i32)))
      (import "shop" "pay" (func $pay (param i32)))
      (func (export "buy") (param $item i32) (param $count i32)
        (call $pay (i32.mul (call $price (local.get $item)) (local.get $count))))
      (func (export "share") (param $cents i32) (param $people i32) (result i32)
        (i32.div_u (local.get $cents) (local.get $people))))
"#;

/// The store's data: one customer.
struct Customer {
    cents: i32,
}

/// An error of ours, to be recognised on the other side of the guest.
#[derive(Debug)]
struct Broke {
    missing_cents: i32,
}

impl fmt::Display for Broke {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cents are missing", self.missing_cents)
    }
}

impl std::error::Error for Broke {}

fn main() -> Result<()> {
    let engine = Engine::default();
    let module = Module::new(&engine, GUEST)?;
    let mut linker = Linker::new(&engine);
    linker.func_wrap("shop", "price", |item: i32| 100 + 10 * item)?;
    linker.func_wrap("shop", "pay", |mut caller: Caller<'_, Customer>, amount: i32| -> Result<()> {
        let customer = caller.data_mut();
        if customer.cents < amount {
            return Err(Broke { missing_cents: amount - customer.cents }.into());
        }
        customer.cents -= amount;
        Ok(())
    })?;

    let mut store = Store::new(&engine, Customer { cents: 1000 });
    let instance = linker.instantiate(&mut store, &module)?;
    let buy = instance.get_typed_func::<(i32, i32), ()>(&mut store, "buy")?;

    buy.call(&mut store, (3, 5))?;
    println!("{} cents left", store.data().cents);

    let error = buy.call(&mut store, (3, 5)).unwrap_err();
    println!("cannot buy again: {}", error.downcast_ref::<Broke>().expect("the type survives the guest"));

    let share = instance.get_typed_func::<(i32, i32), i32>(&mut store, "share")?;
    let error = share.call(&mut store, (350, 0)).unwrap_err();
    assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::IntegerDivisionByZero));
    println!("nobody to share with: {}", error.downcast_ref::<Trap>().expect("division by zero traps"));
    Ok(())
}

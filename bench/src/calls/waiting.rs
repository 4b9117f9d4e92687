//! Calls that wait, written once: `asynchronous.rs` has this module twice, with hotfoot and with its peer as `api`.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use super::api::{Config, Engine, Instance, Linker, Module, Store, TypedFunc};

use super::{api, failed};
use crate::calls::Named;
use crate::calls::asynchronous::{PLAIN, WAITING};
use crate::turns::Run;

/// Polls until it is done: an executor whose only task is always ready.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}

/// Is pending so many times.
async fn pending(mut times: u32) {
    poll_fn(move |context| {
        if times == 0 {
            return Poll::Ready(());
        }
        times -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

struct Guest {
    engine: Engine,
    linker: Linker<()>,
    module: Module,
}

impl Guest {
    /// With host functions that may wait, or without.
    fn new(waits: bool) -> api::Result<Guest> {
        let engine = Engine::new(&Config::new())?;
        let module = Module::new(&engine, if waits { WAITING } else { PLAIN })?;
        let mut linker = Linker::new(&engine);
        if waits {
            linker.func_wrap_async("", "ready", |_, (a,): (i32,)| Box::new(async move { a }))?;
            linker.func_wrap_async("", "once", |_, (a,): (i32,)| {
                Box::new(async move {
                    pending(1).await;
                    a
                })
            })?;
        }
        Ok(Guest { engine, linker, module })
    }

    fn start(&self) -> api::Result<(Store<()>, Instance)> {
        let mut store = Store::new(&self.engine, ());
        let instance = block_on(self.linker.instantiate_async(&mut store, &self.module))?;
        Ok((store, instance))
    }

    fn func(&self, name: &str) -> api::Result<(Store<()>, TypedFunc<i32, i32>)> {
        let (mut store, instance) = self.start()?;
        let func = instance.get_typed_func::<i32, i32>(&mut store, name)?;
        Ok((store, func))
    }
}

fn synchronous() -> api::Result<Run<'static>> {
    let (mut store, func) = Guest::new(false)?.func("same")?;
    Ok(Box::new(move |times| (0..times).try_for_each(|_| func.call(&mut store, 7).map(drop)).map_err(failed)))
}

fn asynchronous(waits: bool) -> api::Result<Run<'static>> {
    let (mut store, func) = Guest::new(waits)?.func("same")?;
    Ok(Box::new(move |times| {
        block_on(async {
            for _ in 0..times {
                func.call_async(&mut store, 7).await?;
            }
            Ok(())
        })
        .map_err(failed)
    }))
}

fn looped(name: &str) -> api::Result<Run<'static>> {
    let (mut store, func) = Guest::new(true)?.func(name)?;
    Ok(Box::new(move |times| block_on(func.call_async(&mut store, times as i32)).map(drop).map_err(failed)))
}

/// Each row once.
pub fn rows() -> anyhow::Result<Vec<Named>> {
    let rows = || -> api::Result<Vec<Named>> {
        Ok(vec![
            ("call, for comparison", synchronous()?),
            ("call_async, nothing can wait", asynchronous(false)?),
            ("call_async, nothing waits", asynchronous(true)?),
            ("host function, ready at once", looped("ready")?),
            ("host function, suspended once", looped("once")?),
        ])
    };
    rows().map_err(failed)
}

/// Calls so many guests, each in a store of its own, and suspends them all; then lets them all end. `suspended` is told
/// when all are suspended.
pub fn suspend(count: usize, suspended: &mut dyn FnMut()) -> anyhow::Result<()> {
    type Call<'a> = Pin<Box<dyn Future<Output = api::Result<i32>> + 'a>>;
    let mut run = || -> api::Result<()> {
        let guest = Guest::new(true)?;
        let mut calls: Vec<Call<'_>> = Vec::with_capacity(count);
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..count {
            let (mut store, func) = guest.func("once")?;
            let mut call: Call<'_> = Box::pin(async move { func.call_async(&mut store, 1).await });
            assert!(call.as_mut().poll(&mut context).is_pending(), "the guest waits");
            calls.push(call);
        }
        suspended();
        calls.into_iter().try_for_each(|call| block_on(call).map(drop))
    };
    run().map_err(failed)
}

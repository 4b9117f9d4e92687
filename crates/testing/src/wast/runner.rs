//! One script on its way: the store, what has been defined, instantiated and registered, and what each directive does.

use std::collections::HashMap;

use hotfoot::{Engine, Instance, Linker, Module, Store, ThrownException, Trap, Val};
use wast::token::Id;
use wast::{QuoteWat, WastDirective, WastExecute, WastInvoke, WastRet};

use super::{expect, spectest, trap, value};

/// Whether a directive went as it should; if not, why.
type Outcome = Result<(), String>;

/// State of a script. What failed to load is kept as `None`, so that its dependents fail for the right reason.
pub(super) struct Runner {
    engine: Engine,
    store: Store<()>,
    linker: Linker<()>,
    /// By name; the empty name is the most recent.
    definitions: HashMap<String, Option<Module>>,
    instances: HashMap<String, Option<Instance>>,
}

impl Runner {
    pub(super) fn new(engine: &Engine) -> hotfoot::Result<Runner> {
        let mut store = Store::new(engine, ());
        // Metered code is to do the same as other code, so it is given all that it can consume.
        if store.get_fuel().is_ok() {
            store.set_fuel(u64::MAX)?;
        }
        store.set_epoch_deadline(u64::MAX);
        let mut linker = Linker::new(engine);
        linker.allow_shadowing(true);
        spectest::define(&mut linker, &mut store)?;
        let (definitions, instances) = Default::default();
        Ok(Runner { engine: engine.clone(), store, linker, definitions, instances })
    }

    /// Does what a directive says.
    pub(super) fn directive(&mut self, directive: WastDirective<'_>) -> Outcome {
        match directive {
            WastDirective::Module(module) => self.module(module),
            WastDirective::ModuleDefinition(module) => self.define(module).map(drop),
            WastDirective::ModuleInstance { instance, module, .. } => self.instance_of(instance, module),
            WastDirective::Register { name, module, .. } => self.register(name, module),
            WastDirective::Invoke(invoke) => match self.invoke(invoke)? {
                Ok(_) => Ok(()),
                Err(error) => Err(format!("the call failed: {error:#}")),
            },
            WastDirective::AssertReturn { exec, results, .. } => self.assert_return(exec, &results),
            WastDirective::AssertTrap { exec, message, .. } => self.assert_trap(exec, message),
            WastDirective::AssertExhaustion { call, message, .. } => {
                self.assert_trap(WastExecute::Invoke(call), message)
            }
            WastDirective::AssertMalformed { module, message, .. }
            | WastDirective::AssertInvalid { module, message, .. }
            | WastDirective::AssertInvalidCustom { module, message, .. }
            | WastDirective::AssertMalformedCustom { module, message, .. } => self.assert_refused(module, message),
            WastDirective::AssertUnlinkable { module, message, .. } => {
                self.assert_unlinkable(QuoteWat::Wat(module), message)
            }
            WastDirective::AssertException { exec, .. } => self.assert_exception(exec),
            WastDirective::AssertSuspension { .. } => Err("suspensions are not supported".into()),
            WastDirective::Thread(_) | WastDirective::Wait { .. } => Err("threads are not supported".into()),
        }
    }

    fn module(&mut self, module: QuoteWat<'_>) -> Outcome {
        let name = own_name(module.name());
        // Set first and replaced on success: nothing may use an older module by accident.
        self.set_instance(&name, None);
        let module = self.define(module)?;
        let instance = self.instantiate(&module).map_err(|error| format!("instantiation failed: {error:#}"))?;
        self.set_instance(&name, Some(instance));
        Ok(())
    }

    fn define(&mut self, module: QuoteWat<'_>) -> Result<Module, String> {
        let name = own_name(module.name());
        let module = self.compile(module);
        for name in [name, String::new()] {
            self.definitions.insert(name, module.as_ref().ok().cloned());
        }
        module
    }

    fn instance_of(&mut self, instance: Option<Id<'_>>, module: Option<Id<'_>>) -> Outcome {
        let name = own_name(instance);
        self.set_instance(&name, None);
        let module = found(&self.definitions, module)?.clone();
        let instance = self.instantiate(&module).map_err(|error| format!("instantiation failed: {error:#}"))?;
        self.set_instance(&name, Some(instance));
        Ok(())
    }

    fn set_instance(&mut self, name: &str, instance: Option<Instance>) {
        self.instances.insert(String::new(), instance);
        self.instances.insert(name.into(), instance);
    }

    fn register(&mut self, name: &str, module: Option<Id<'_>>) -> Outcome {
        let instance = *found(&self.instances, module)?;
        let linked = self.linker.instance(&mut self.store, name, instance);
        linked.map(drop).map_err(|error| format!("registration failed: {error:#}"))
    }

    fn compile(&self, mut module: QuoteWat<'_>) -> Result<Module, String> {
        let bytes = module.encode().map_err(|error| format!("the text cannot be parsed: {}", error.message()))?;
        Module::from_binary(&self.engine, &bytes).map_err(|error| format!("the module is refused: {error:#}"))
    }

    fn instantiate(&mut self, module: &Module) -> hotfoot::Result<Instance> {
        self.linker.instantiate(&mut self.store, module)
    }

    /// The outer error is of the script, the inner one of the guest.
    fn execute(&mut self, exec: WastExecute<'_>) -> Result<hotfoot::Result<Vec<Val>>, String> {
        match exec {
            WastExecute::Invoke(invoke) => self.invoke(invoke),
            WastExecute::Wat(module) => {
                let module = self.compile(QuoteWat::Wat(module))?;
                Ok(self.instantiate(&module).map(|_| Vec::new()))
            }
            WastExecute::Get { module, global, .. } => {
                let instance = *found(&self.instances, module)?;
                let found = instance.get_global(&mut self.store, global);
                let found = found.ok_or_else(|| format!("no global is exported as `{global}`"))?;
                Ok(Ok(vec![found.get(&mut self.store)]))
            }
        }
    }

    fn invoke(&mut self, invoke: WastInvoke<'_>) -> Result<hotfoot::Result<Vec<Val>>, String> {
        let instance = *found(&self.instances, invoke.module)?;
        let func = instance.get_func(&mut self.store, invoke.name);
        let func = func.ok_or_else(|| format!("no function is exported as `{}`", invoke.name))?;
        let arguments = invoke.args.iter().map(|argument| value::argument(&mut self.store, argument));
        let arguments = arguments.collect::<Result<Vec<Val>, String>>()?;
        let mut results = vec![Val::I32(0); func.ty(&self.store).results().len()];
        Ok(func.call(&mut self.store, &arguments, &mut results).map(|()| results))
    }

    fn assert_return(&mut self, exec: WastExecute<'_>, expected: &[WastRet<'_>]) -> Outcome {
        match self.execute(exec)? {
            Ok(actual) => expect::results(&mut self.store, &actual, expected),
            Err(error) => Err(format!("failed, where a result is expected: {error:#}")),
        }
    }

    fn assert_trap(&mut self, exec: WastExecute<'_>, message: &str) -> Outcome {
        match self.execute(exec)? {
            Ok(actual) => Err(format!("returned {actual:?}, where the trap `{message}` is expected")),
            Err(error) => trap::check(&error, message),
        }
    }

    fn assert_exception(&mut self, exec: WastExecute<'_>) -> Outcome {
        match self.execute(exec)? {
            Ok(actual) => Err(format!("returned {actual:?}, where an exception is expected")),
            Err(error) if error.downcast_ref::<ThrownException>().is_some() => Ok(()),
            Err(error) => Err(format!("failed without an exception, where one is expected: {error:#}")),
        }
    }

    fn assert_refused(&mut self, module: QuoteWat<'_>, message: &str) -> Outcome {
        match self.compile(module) {
            Ok(_) => Err(format!("the module is accepted, where `{message}` is expected")),
            Err(_) => Ok(()),
        }
    }

    fn assert_unlinkable(&mut self, module: QuoteWat<'_>, message: &str) -> Outcome {
        let module = self.compile(module)?;
        match self.instantiate(&module) {
            Ok(_) => Err(format!("the module links, where `{message}` is expected")),
            Err(error) if error.downcast_ref::<Trap>().is_some() => {
                Err(format!("the module links and then traps, where `{message}` is expected: {error:#}"))
            }
            Err(_) => Ok(()),
        }
    }
}

fn own_name(id: Option<Id<'_>>) -> String {
    id.map(|id| id.name().to_owned()).unwrap_or_default()
}

/// What a directive refers to: a name, or the most recent.
fn found<'a, T>(map: &'a HashMap<String, Option<T>>, id: Option<Id<'_>>) -> Result<&'a T, String> {
    let called = || id.map_or("the current module".into(), |id| format!("the module ${}", id.name()));
    match map.get(&own_name(id)) {
        Some(Some(item)) => Ok(item),
        Some(None) => Err(format!("{} did not load", called())),
        None => Err(format!("there is no such module: {}", called())),
    }
}

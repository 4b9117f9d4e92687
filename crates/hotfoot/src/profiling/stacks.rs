//! The stacks of a profile: a tree, so that stacks that begin alike share what they share.

use std::collections::HashMap;

use hotfoot_artifact::Origin;

use super::code::function_name;
use crate::module::Module;

/// Most different stacks of a profile; samples of others are counted as lost.
pub const MAX_STACKS: usize = 1 << 20;

/// Where a frame of a profile is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Frame {
    /// In a function of a guest.
    Guest {
        /// The module's place among those of the profile.
        module: u32,
        /// Index of the function, imports counted first.
        function: u32,
        /// Offset in the module's binary.
        module_offset: Option<u32>,
    },
    /// Somewhere in the host, which a guest had called.
    Host,
}

/// A frame and those below it.
#[derive(Copy, Clone, Debug)]
pub struct Stack {
    /// The newest frame.
    pub frame: Frame,
    /// The number of the stack below.
    pub prefix: Option<u32>,
}

/// The modules that addresses are looked up in, and the stacks that were seen.
pub struct Stacks {
    modules: Vec<(String, Module)>,
    stacks: Vec<Stack>,
    numbers: HashMap<(Option<u32>, Frame), u32>,
}

impl Stacks {
    /// None yet.
    pub fn new(modules: Vec<(String, Module)>) -> Stacks {
        Stacks { modules, stacks: Vec::new(), numbers: HashMap::new() }
    }

    /// All stacks by number; what is below a stack comes before it.
    pub fn all(&self) -> &[Stack] {
        &self.stacks
    }

    /// The module of a frame, and what the profile calls it.
    pub fn module(&self, number: u32) -> &(String, Module) {
        &self.modules[number as usize]
    }

    /// The function at an address, after those that were inlined there; nothing in trampolines and in modules that the
    /// profile does not know.
    fn frames(&self, address: usize) -> Vec<Frame> {
        let known = self.modules.iter().zip(0..).find(|((_, module), _)| module.text().contains(&address));
        let Some(((_, module), number)) = known else { return Vec::new() };
        let (code, imported) = (module.code(), module.counts().imported_funcs);
        let Some(offset) = code.offset_of(address) else { return Vec::new() };
        let Some(defined) = code.function_at(offset) else { return Vec::new() };
        let frame = |origin: Origin| Frame::Guest {
            module: number,
            function: origin.function.unwrap_or(imported + defined),
            module_offset: origin.wasm_offset,
        };
        code.origins_at(offset).map(frame).collect()
    }

    /// The number of the stack of these addresses, newest first; `None` if there is none, or no room for another.
    pub fn number(&mut self, addresses: &[usize], in_host: bool) -> Option<u32> {
        let mut stack = None;
        for address in addresses.iter().rev() {
            for frame in self.frames(*address).into_iter().rev() {
                stack = Some(self.push(stack, frame)?);
            }
        }
        if in_host && stack.is_some() { self.push(stack, Frame::Host) } else { stack }
    }

    fn push(&mut self, prefix: Option<u32>, frame: Frame) -> Option<u32> {
        if let Some(number) = self.numbers.get(&(prefix, frame)) {
            return Some(*number);
        }
        let number = self.stacks.len() as u32;
        if self.stacks.len() == MAX_STACKS {
            return None;
        }
        self.stacks.push(Stack { frame, prefix });
        self.numbers.insert((prefix, frame), number);
        Some(number)
    }

    /// What a frame is called.
    pub fn name(&self, frame: Frame) -> String {
        match frame {
            Frame::Guest { module, function, .. } => function_name(&self.module(module).1, function),
            Frame::Host => "(host)".to_owned(),
        }
    }
}

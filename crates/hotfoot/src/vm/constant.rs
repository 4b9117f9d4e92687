//! Constant expressions, and what instantiation makes of them: globals, elements of tables, items of segments.
//!
//! Source: WebAssembly 3.0, section 3.4.14 "Constant Expressions". They were validated, so that the stack is never empty
//! and values are of the right types.

use anyhow::Result;
use hotfoot_abi::gc::Kind;
use hotfoot_abi::vmctx::VmGlobal;
use hotfoot_artifact::{ConstExpr, ConstOp, ElementItems, ValType};

use super::gc::array::Part;
use super::gc::{holds_objects, is_object};
use super::slot::Slot;
use super::store::{FuncPtr, VmStore};

/// The stack of an evaluation. A reference to an object waits among the store's handles, where collections find it.
#[derive(Default)]
struct Operands(Vec<Option<Slot>>);

impl Operands {
    fn push(&mut self, value: Slot) {
        self.0.push(Some(value));
    }

    fn push_reference(&mut self, store: &mut VmStore, reference: u32) {
        if is_object(reference) {
            store.root(reference);
            self.0.push(None);
        } else {
            self.push(Slot::from_u32(reference));
        }
    }

    fn pop(&mut self, store: &mut VmStore) -> Slot {
        match self.0.pop() {
            Some(Some(value)) => value,
            Some(None) => Slot::from_u32(store.unroot()),
            None => Slot::default(),
        }
    }

    /// The topmost values, the last one on top.
    fn pop_many(&mut self, store: &mut VmStore, count: usize) -> Vec<Slot> {
        let mut values: Vec<Slot> = (0..count).map(|_| self.pop(store)).collect();
        values.reverse();
        values
    }
}

impl VmStore {
    /// The value of a constant expression of an instance.
    ///
    /// # Errors
    /// When it makes objects for which there is no room.
    pub(super) fn evaluate(&mut self, number: u32, expr: &ConstExpr) -> Result<Slot> {
        let scope = self.enter_scope();
        let mut stack = Operands::default();
        let evaluated = expr.ops.iter().try_for_each(|op| self.step(number, *op, &mut stack));
        let value = stack.pop(self);
        self.leave_scope(scope);
        evaluated.map(|()| value)
    }

    fn step(&mut self, number: u32, op: ConstOp, stack: &mut Operands) -> Result<()> {
        let instance = self.instance(number);
        let type_id = |ty: u32| instance.module().type_ids()[ty as usize];
        match op {
            ConstOp::I32(value) => stack.push(Slot::from_u32(value as u32)),
            ConstOp::I64(value) => stack.push(Slot::from_u64(value as u64)),
            ConstOp::F32(bits) => stack.push(Slot::from_u32(bits)),
            ConstOp::F64(bits) => stack.push(Slot::from_u64(bits)),
            ConstOp::V128(bytes) => stack.push(Slot::from_bytes(bytes)),
            ConstOp::GlobalGet(index) => {
                // SAFETY: S3, a global of this store, initialised before it can be named.
                let value = Slot::from_bytes(unsafe { instance.global(index).as_non_null().as_ref().bytes });
                match holds_objects(instance.module().info().globals[index as usize].content) {
                    true => stack.push_reference(self, value.as_u32()),
                    false => stack.push(value),
                }
            }
            ConstOp::RefNull | ConstOp::AnyConvertExtern | ConstOp::ExternConvertAny => {
                if op == ConstOp::RefNull {
                    stack.push(Slot::default());
                }
            }
            ConstOp::RefFunc(index) => stack.push(Slot::from_u64(instance.func(index).map_or(0, FuncPtr::to_raw))),
            ConstOp::RefI31 => {
                let value = stack.pop(self).as_u32();
                stack.push(Slot::from_u32(value << 1 | 1));
            }
            ConstOp::StructNew(ty) => {
                let ty = type_id(ty);
                let values = stack.pop_many(self, self.count_fields(ty));
                let object = self.new_object(Kind::Struct, ty, &values)?;
                stack.push_reference(self, object);
            }
            ConstOp::StructNewDefault(ty) => {
                let ty = type_id(ty);
                let object = self.new_object(Kind::Struct, ty, &vec![Slot::default(); self.count_fields(ty)])?;
                stack.push_reference(self, object);
            }
            ConstOp::ArrayNew(ty) => {
                let (ty, len) = (type_id(ty), stack.pop(self).as_u32());
                let array = self.new_array(ty, len)?;
                // The element still waits on the stack.
                let element = stack.pop(self);
                self.fill_array(Part { array, at: 0, len }, element)?;
                stack.push_reference(self, array);
            }
            ConstOp::ArrayNewDefault(ty) => {
                let (ty, len) = (type_id(ty), stack.pop(self).as_u32());
                let array = self.new_array(ty, len)?;
                stack.push_reference(self, array);
            }
            ConstOp::ArrayNewFixed { ty, len } => {
                let array = self.new_array(type_id(ty), len)?;
                for index in (0..len).rev() {
                    let element = stack.pop(self);
                    self.set_element(array, index, element);
                }
                stack.push_reference(self, array);
            }
            ConstOp::I32Add
            | ConstOp::I32Sub
            | ConstOp::I32Mul
            | ConstOp::I64Add
            | ConstOp::I64Sub
            | ConstOp::I64Mul => {
                let right = stack.pop(self);
                let left = stack.pop(self);
                stack.push(arithmetic(op, left, right));
            }
        }
        Ok(())
    }

    /// An index or offset: i32 values are unsigned.
    pub(super) fn evaluate_offset(&mut self, number: u32, expr: &ConstExpr, index64: bool) -> Result<u64> {
        let value = self.evaluate(number, expr)?;
        Ok(if index64 { value.as_u64() } else { u64::from(value.as_u32()) })
    }

    /// Step 24: globals in order.
    ///
    /// # Safety
    /// S4: the context of the instance was filled.
    pub(super) unsafe fn initialize_globals(&mut self, number: u32) -> Result<()> {
        let module = self.instance(number).module().clone();
        let imported = module.counts().imported_globals;
        for (index, init) in (imported..).zip(&module.info().global_inits) {
            let bytes = self.evaluate(number, init)?.bytes();
            let global = self.instance(number).global(index).as_non_null();
            // SAFETY: S4, a defined global inside the context; S7, by validation.
            unsafe { global.write(VmGlobal { bytes }) };
        }
        Ok(())
    }

    /// Step 25: tables whose elements do not begin as null.
    ///
    /// # Safety
    /// S4: as [`VmStore::initialize_globals`].
    pub(super) unsafe fn initialize_tables(&mut self, number: u32) -> Result<()> {
        let module = self.instance(number).module().clone();
        let imported = module.counts().imported_tables;
        for (index, init) in (imported..).zip(&module.info().table_inits) {
            if let Some(init) = init {
                let element = self.evaluate(number, init)?.as_u64();
                let table = self.instance(number).table(index);
                let table = &mut self.tables[table as usize];
                // SAFETY: S7, by validation.
                unsafe { table.fill(0, element, table.len()) };
            }
        }
        Ok(())
    }

    /// Step 26: the items of element segments, of which references to objects are evaluated once; others give the same
    /// every time.
    pub(super) fn evaluate_elements(&mut self, number: u32) -> Result<()> {
        let module = self.instance(number).module().clone();
        for (segment, element) in module.info().elements.iter().enumerate() {
            let ElementItems::Expressions(items) = &element.items else { continue };
            if holds_objects(ValType::Ref(element.element)) {
                for item in items {
                    let reference = self.evaluate(number, item)?.as_u32();
                    self.instances[number as usize].push_element(segment, reference);
                }
            }
        }
        Ok(())
    }

    /// One item of an element segment that was not dropped, as a table element.
    pub(super) fn element_value(&mut self, number: u32, segment: u32, item: usize) -> Result<u64> {
        let instance = self.instance(number);
        if let Some(value) = instance.element(segment, item) {
            return Ok(value);
        }
        let module = instance.module().clone();
        match &module.info().elements[segment as usize].items {
            ElementItems::Expressions(items) => Ok(self.evaluate(number, &items[item])?.as_u64()),
            ElementItems::Functions(_) => unreachable!("functions are not evaluated"),
        }
    }

    fn count_fields(&self, type_id: u32) -> usize {
        self.engine().types().get(type_id).ty.struct_().map_or(0, |ty| ty.fields.len())
    }
}

fn arithmetic(op: ConstOp, left: Slot, right: Slot) -> Slot {
    let narrow = |f: fn(u32, u32) -> u32| Slot::from_u32(f(left.as_u32(), right.as_u32()));
    let wide = |f: fn(u64, u64) -> u64| Slot::from_u64(f(left.as_u64(), right.as_u64()));
    match op {
        ConstOp::I32Add => narrow(u32::wrapping_add),
        ConstOp::I32Sub => narrow(u32::wrapping_sub),
        ConstOp::I32Mul => narrow(u32::wrapping_mul),
        ConstOp::I64Add => wide(u64::wrapping_add),
        ConstOp::I64Sub => wide(u64::wrapping_sub),
        ConstOp::I64Mul => wide(u64::wrapping_mul),
        _ => right,
    }
}

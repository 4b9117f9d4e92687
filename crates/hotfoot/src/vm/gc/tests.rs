//! The collector against a model: graphs of objects whose edges are known.

use hotfoot_abi::gc::{ARRAY_ELEMENTS, ARRAY_LENGTH, Kind, Storage, array_size};

use super::collector::Collector;
use super::heap::{GRAIN, Heap};
use super::shape::{Shape, Shapes};
use crate::vm::slot::Slot;

/// Types of the objects: a struct with an `i32`, two references and an `i64`; arrays of references and of bytes.
const NODE: u32 = 7;
const REFERENCES: u32 = 300;
const BYTES: u32 = 12;

/// A heap that is used as a store does, with its roots.
struct World {
    heap: Heap,
    shapes: Shapes,
    next: u64,
    roots: Vec<u32>,
}

impl World {
    fn new(grains: u64) -> World {
        let mut heap = Heap::reserve((2 * grains + 2) * GRAIN).unwrap();
        heap.grant(grains * GRAIN).unwrap();
        let next = heap.active().start;
        World { heap, shapes: Shapes::default(), next, roots: Vec::new() }
    }

    fn allocate(&mut self, size: u64) -> u32 {
        if self.next + size > self.heap.active().end {
            self.collect();
        }
        let object = self.next;
        self.next += size;
        assert!(self.next <= self.heap.active().end, "the heap of the test is too small");
        object as u32
    }

    fn node(&mut self, number: u32, links: [u32; 2]) -> u32 {
        // The links move if this collects.
        self.roots.extend(links);
        let object = self.allocate(24);
        let second = self.roots.pop().unwrap();
        let first = self.roots.pop().unwrap();
        self.heap.set_word(object, Kind::Struct.header(NODE));
        let values = [Slot::from_u32(number), Slot::from_u32(first), Slot::from_u32(second), Slot::from_u64(!0)];
        for (field, value) in values.into_iter().enumerate() {
            let (offset, storage) = node_field(field);
            self.heap.store(object + offset, storage, value);
        }
        object
    }

    fn array(&mut self, type_id: u32, storage: Storage, len: u32) -> u32 {
        let size = array_size(storage, len);
        let object = self.allocate(size);
        self.heap.bytes_mut(object, size as u32).fill(0);
        self.heap.set_word(object, Kind::Array.header(type_id));
        self.heap.set_word(object + ARRAY_LENGTH, len);
        object
    }

    fn field(&self, object: u32, field: usize) -> u32 {
        let (offset, storage) = node_field(field);
        self.heap.load(object + offset, storage).as_u32()
    }

    fn collect(&mut self) {
        let describe = |shapes: &mut Shapes, id| match id {
            NODE => shapes.add_fields(id, &[Storage::I32, Storage::Ref, Storage::Ref, Storage::I64]),
            REFERENCES => shapes.add_array(id, Storage::Ref),
            BYTES => shapes.add_array(id, Storage::I8),
            other => panic!("no object has the type {other}"),
        };
        let describe: &dyn Fn(&mut Shapes, u32) -> Shape = &describe;
        let mut collector = Collector::new(&mut self.heap, self.next, &mut self.shapes, describe);
        // SAFETY: S17, the roots of this test.
        unsafe {
            self.roots.iter_mut().for_each(|root| collector.visit(root));
            collector.finish_copying();
        }
        self.next = collector.finish(true);
    }

    fn used(&self) -> u64 {
        self.next - self.heap.active().start
    }
}

/// Where an element of an array is in the heap.
fn element_offset(array: u32, index: u32, storage: Storage) -> u32 {
    array + ARRAY_ELEMENTS + index * storage.size()
}

/// Where a node's fields are, worked out by hand: the header, then in the order that they are declared.
fn node_field(field: usize) -> (u32, Storage) {
    [(4, Storage::I32), (8, Storage::Ref), (12, Storage::Ref), (16, Storage::I64)][field]
}

#[test]
fn garbage_goes_and_the_rest_stays() {
    let mut world = World::new(4);
    let kept = world.node(1, [0, 0]);
    world.roots.push(kept);
    for number in 0..1000 {
        world.node(number, [0, 0]);
    }
    world.collect();
    assert_eq!(world.used(), 24);
    assert_eq!(world.field(world.roots[0], 0), 1);
}

#[test]
fn cycles_are_freed_when_nothing_leads_to_them() {
    let mut world = World::new(4);
    let (a, b) = (world.node(1, [0, 0]), world.node(2, [0, 0]));
    for (from, to) in [(a, b), (b, a)] {
        world.heap.set_word(from + node_field(1).0, to);
        world.heap.set_word(from + node_field(2).0, from);
    }
    world.roots.push(a);
    world.collect();
    assert_eq!(world.used(), 48);
    let a = world.roots[0];
    let b = world.field(a, 1);
    assert_eq!((world.field(b, 1), world.field(a, 2), world.field(b, 2)), (a, a, b));
    assert_eq!((world.field(a, 0), world.field(b, 0)), (1, 2));
    world.roots.clear();
    world.collect();
    assert_eq!(world.used(), 0);
}

#[test]
fn a_list_of_any_length_is_followed_without_a_stack() {
    let mut world = World::new(64);
    world.roots.push(0);
    let len = 150_000;
    for number in 0..len {
        let head = world.roots[0];
        let node = world.node(number, [head, 3]);
        world.roots[0] = node;
    }
    world.collect();
    assert_eq!(world.used(), u64::from(len) * 24);
    let mut node = world.roots[0];
    for number in (0..len).rev() {
        assert_eq!((world.field(node, 0), world.field(node, 2)), (number, 3), "an i31 stays what it is");
        node = world.field(node, 1);
    }
    assert_eq!(node, 0);
}

#[test]
fn short_lived_objects_need_no_more_than_the_heap() {
    let mut world = World::new(1);
    world.roots.push(0);
    for number in 0..1_000_000 {
        let previous = if number % 1000 == 0 { 0 } else { world.roots[0] };
        let node = world.node(number, [previous, 0]);
        world.roots[0] = node;
    }
    assert!(world.used() <= GRAIN);
}

#[test]
fn elements_of_arrays_are_followed_and_bytes_are_not() {
    let mut world = World::new(4);
    let array = world.array(REFERENCES, Storage::Ref, 3);
    world.roots.push(array);
    let bytes = world.array(BYTES, Storage::I8, 9);
    let array = world.roots[0];
    world.heap.bytes_mut(element_offset(bytes, 0, Storage::I8), 9).copy_from_slice(b"\x08\0\x01\0\x08\0\x01\0\x08");
    world.heap.set_word(element_offset(array, 2, Storage::Ref), bytes);
    world.heap.set_word(element_offset(array, 0, Storage::Ref), array);
    world.collect();
    let array = world.roots[0];
    assert_eq!(world.heap.word(element_offset(array, 0, Storage::Ref)), array);
    assert_eq!(world.heap.word(element_offset(array, 1, Storage::Ref)), 0);
    let bytes = world.heap.word(element_offset(array, 2, Storage::Ref));
    assert_eq!(world.heap.bytes(element_offset(bytes, 0, Storage::I8), 9), b"\x08\0\x01\0\x08\0\x01\0\x08");
    assert_eq!(world.used(), array_size(Storage::Ref, 3) + array_size(Storage::I8, 9));
}

/// Numbers that look random and are the same every time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % limit
    }
}

/// A graph of nodes that is changed in the heap and in a model alike.
#[derive(Default)]
struct Model {
    /// The links of each node that was made, by its number.
    links: Vec<[Option<usize>; 2]>,
    /// What the world's roots hold.
    roots: Vec<Option<usize>>,
}

impl Model {
    /// Compares everything that can be reached, and returns how many nodes that is.
    fn compare(&self, world: &World) -> usize {
        let mut places = vec![None; self.links.len()];
        let mut waiting: Vec<(Option<usize>, u32)> =
            self.roots.iter().copied().zip(world.roots.iter().copied()).collect();
        let mut reached = 0;
        while let Some((number, object)) = waiting.pop() {
            let Some(number) = number else {
                assert_eq!(object, 0);
                continue;
            };
            if let Some(place) = places[number].replace(object) {
                assert_eq!(place, object, "one node became two");
                continue;
            }
            reached += 1;
            assert_eq!(world.field(object, 0) as usize, number);
            waiting.extend((0..2).map(|link| (self.links[number][link], world.field(object, 1 + link))));
        }
        reached
    }
}

#[test]
fn random_graphs_stay_what_they_are() {
    for seed in 0..20 {
        let (mut numbers, mut world) = (Numbers(seed), World::new(2));
        let mut model = Model { roots: vec![None; 8], ..Model::default() };
        world.roots = vec![0; 8];
        for step in 0..3000 {
            let (target, source) = (numbers.below(8), numbers.below(8));
            match numbers.below(8) {
                0..=3 => {
                    let (first, second) = (numbers.below(8), numbers.below(8));
                    let links = [world.roots[first], world.roots[second]];
                    let node = world.node(model.links.len() as u32, links);
                    world.roots[target] = node;
                    model.links.push([model.roots[first], model.roots[second]]);
                    model.roots[target] = Some(model.links.len() - 1);
                }
                4 | 5 => {
                    let link = numbers.below(2);
                    if let Some(number) = model.roots[target] {
                        model.links[number][link] = model.roots[source];
                        let place = world.roots[target] + node_field(1 + link).0;
                        let value = world.roots[source];
                        world.heap.set_word(place, value);
                    }
                }
                6 => {
                    world.roots[target] = 0;
                    model.roots[target] = None;
                }
                _ if step % 10 == 0 => {
                    world.collect();
                    assert_eq!(world.used(), 24 * model.compare(&world) as u64);
                }
                _ => {}
            }
        }
        model.compare(&world);
    }
}

#[test]
fn an_emptied_heap_is_as_if_new() {
    let mut heap = Heap::reserve(64 * GRAIN).unwrap();
    let fresh = (heap.active(), heap.other_start(), heap.capacity());
    for _ in 0..3 {
        heap.grant(30 * GRAIN).unwrap();
        heap.flip();
        let start = heap.active().start as u32;
        heap.bytes_mut(start, (30 * GRAIN) as u32).fill(1);
        heap.empty().unwrap();
        assert_eq!((heap.active(), heap.other_start(), heap.capacity()), fresh);
    }
}

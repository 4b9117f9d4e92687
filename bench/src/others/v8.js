// Calls and instances in V8, run by `node -e` with a module's file: for each line, which names one of `runs`, it does that
// as often as takes about 0.2 ms, and writes the nanoseconds of one.
const fs = require("node:fs");
const module_ = new WebAssembly.Module(fs.readFileSync(process.argv[1]));
const imports = { h: {} };
for (const { name } of WebAssembly.Module.imports(module_)) imports.h[name] = (a) => a;
const start = () => new WebAssembly.Instance(module_, imports).exports;
const exports_ = start();

const runs = {
  instance: (times) => { while (times-- > 0) start().run(); },
  "in none": (times) => { const none = exports_["none"]; while (times-- > 0) none(); },
  "in 2 i32": (times) => { const two = exports_["2 i32"]; while (times-- > 0) two(1, 2); },
  "in 6 f64": (times) => { const six = exports_["6 f64"]; while (times-- > 0) six(1, 2, 3, 4, 5, 6); },
  "out none": (times) => exports_["loop none"](times),
  "out 2 i32": (times) => exports_["loop 2 i32"](times),
  "out 6 f64": (times) => exports_["loop 6 f64"](times),
};

const timed = (run, times) => {
  const start = process.hrtime.bigint();
  run(times);
  return Number(process.hrtime.bigint() - start);
};

const batches = {};
const line = Buffer.alloc(64);
for (let length; (length = fs.readSync(0, line)) > 0; ) {
  const name = line.toString("utf8", 0, length).trim();
  let times = 1;
  // The first time, as many as it takes; twice, because V8 compiles what runs often.
  for (let round = 0; round < 2 && !batches[name]; round++) {
    for (times = 1; ; times *= 4) {
      const nanos = timed(runs[name], times);
      if (nanos >= 100_000) { times = Math.ceil((times * 200_000) / nanos); break; }
    }
  }
  batches[name] ??= times;
  console.log(timed(runs[name], batches[name]) / batches[name]);
}

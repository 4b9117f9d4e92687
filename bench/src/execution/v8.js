// A program in V8, run by `node -e`: compiles FILE and writes how many nanoseconds that took; then runs it once for each
// line that it reads, leaves what it wrote in OUTPUT, and writes the nanoseconds from `bench.start` to `bench.end`.
const fs = require("node:fs");
const { WASI } = require("node:wasi");
const [file, directory, output] = process.argv.slice(1);

// Of the process, which has one thread that works; other engines' times are of their thread.
const now = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) * 1000;
};

const wasm = fs.readFileSync(file);
let start = now();
const module_ = new WebAssembly.Module(wasm);
console.log(now() - start);

const line = Buffer.alloc(64);
while (fs.readSync(0, line) > 0) {
  const stdout = fs.openSync(output, "w");
  const preopens = directory === "" ? {} : { ".": directory };
  // Some programs end at once if they are not told their name.
  const wasi = new WASI({ version: "preview1", args: ["program"], stdout, preopens, returnOnExit: true });
  let end = NaN;
  const bench = { start: () => { start = now(); }, end: () => { end = now(); } };
  const imports = { bench, wasi_snapshot_preview1: wasi.wasiImport };
  wasi.start(new WebAssembly.Instance(module_, imports));
  fs.closeSync(stdout);
  console.log(end - start);
}

// The benchmarks' guests, assembled by hand so that V8 takes the same bytes: all export `run: (i32) -> i32`.

const leb = (value) => {
  const bytes = [];
  do {
    const low = value & 0x7f;
    value >>>= 7;
    bytes.push(value === 0 ? low : low | 0x80);
  } while (value !== 0);
  return bytes;
};
const signed = (value) => {
  const bytes = [];
  for (;;) {
    const low = value & 0x7f;
    value >>= 7;
    if ((value === 0 && !(low & 0x40)) || (value === -1 && low & 0x40)) return [...bytes, low];
    bytes.push(low | 0x80);
  }
};
const vector = (items) => [...leb(items.length), ...items.flat()];
const section = (id, items) => (items.length === 0 ? [] : [id, ...sized(vector(items))]);
const sized = (bytes) => [...leb(bytes.length), ...bytes];
const name = (text) => sized([...Buffer.from(text)]);

const I32 = 0x7f;
const I64 = 0x7e;
const END = 0x0b;
const get = (local) => [0x20, ...leb(local)];
const i32 = (value) => [0x41, ...signed(value)];
const add = 0x6a;
const store = [0x36, 2, 0];

/** `bodies`: one (i32) -> i32 function each, but `wide` is (i64) -> i64. `data`: [address, length] segments. */
function guest({ pages, data = [], host = false, bodies }) {
  const first = host ? 1 : 0;
  const types = [0, 1].map((index) => [0x60, ...vector([[[I32, I64][index]]]), ...vector([[[I32, I64][index]]])]);
  const functions = Object.entries(bodies);
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, types),
    ...section(2, host ? [[...name("env"), ...name("f"), 0, 0]] : []),
    ...section(3, functions.map(([export_]) => [export_ === "wide" ? 1 : 0])),
    ...section(5, pages === undefined ? [] : [[0, ...leb(pages)]]),
    ...section(7, [
      ...functions.map(([export_], index) => [...name(export_), 0, ...leb(first + index)]),
      ...(pages === undefined ? [] : [[...name("memory"), 2, 0]]),
    ]),
    ...section(10, functions.map(([, body]) => sized([0, ...body, END]))),
    ...section(11, data.map(([address, length]) => [0, ...i32(address), END, ...sized(Array(length).fill(0x5a))])),
  ]);
}

/** Writes the parameter to the start of `count` pages of 4 KiB. */
const touch = (count) => [
  ...Array.from({ length: count }, (_, page) => [...i32(page * 4096), ...get(0), ...store]).flat(),
  ...get(0),
];

export const guests = [
  { name: "empty", bytes: guest({ bodies: { run: [...get(0), ...i32(1), add] } }) },
  { name: "1 page of memory", bytes: guest({ pages: 1, bodies: { run: touch(1) } }) },
  { name: "64 KiB data, 16 x 4 KiB written", bytes: guest({ pages: 16, data: [[0, 65536]], bodies: { run: touch(16) } }) },
  {
    name: "host",
    bytes: guest({
      pages: 1,
      host: true,
      bodies: { run: [...get(0), ...i32(1), add], wide: get(0), call: [...get(0), 0x10, 0] },
    }),
  },
];

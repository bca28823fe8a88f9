// libkv from Node, through koffi: node example.mjs DIRECTORY. LIBKV names the library if it is not
// where the system looks.
import assert from "node:assert";
import koffi from "koffi";

const library = koffi.load(process.env.LIBKV ?? "libkv.so.1");
const open = library.func("int kv_open(const char *, void *, _Out_ void **)");
const close = library.func("int kv_close(void *)");
const put = library.func("int kv_put(void *, const void *, size_t, const void *, size_t)");
const get = library.func("int kv_get(void *, const void *, size_t, _Out_ void **, _Out_ size_t *)");
const free = library.func("void kv_free(void *)");
const message = library.func("const char *kv_error_message()");

// Messages belong to the thread, so that nothing asynchronous may come in between.
function check(status) {
  if (status !== 0) throw new Error(message());
}

export class Database {
  constructor(directory) {
    const made = [null];
    check(open(directory, null, made));
    this.handle = made[0];
  }

  put(key, value) {
    check(put(this.handle, key, key.length, value, value.length));
  }

  // A Buffer, or undefined.
  get(key) {
    const [value, length] = [[null], [0]];
    const status = get(this.handle, key, key.length, value, length);
    if (status === 1) return undefined; // KV_NOT_FOUND
    check(status);
    try {
      return Buffer.from(koffi.decode(value[0], koffi.array("uint8_t", Number(length[0]))));
    } finally {
      free(value[0]);
    }
  }

  close() {
    check(close(this.handle));
  }
}

const db = new Database(process.argv[2]);
db.put(Buffer.from("alice"), Buffer.from("logged in"));
assert.equal(db.get(Buffer.from("alice")).toString(), "logged in");
assert.equal(db.get(Buffer.from("bob")), undefined);
db.close();
assert.throws(() => db.get(Buffer.from("alice")), /closed/);
console.log("node: ok");

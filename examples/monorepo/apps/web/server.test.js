"use strict";

const assert = require("node:assert");
const { test } = require("node:test");
const { answer } = require("./server");

test("greets whom the path names", () => {
  assert.strictEqual(answer("/Ada"), "Hello, Ada!");
});

"use strict";

const assert = require("node:assert");
const { test } = require("node:test");
const { greet } = require(".");

test("greets strangers", () => {
  assert.strictEqual(greet(""), "Hello, stranger!");
});

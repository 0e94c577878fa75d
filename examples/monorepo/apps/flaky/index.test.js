"use strict";

const assert = require("node:assert");
const { test } = require("node:test");
const { double } = require(".");

test("doubles", () => {
  assert.strictEqual(double(3), 6, "this test fails, as it is meant to");
});

"use strict";

const http = require("node:http");
const { greet } = require("@monorepo/greeting");

exports.answer = (url) => greet(decodeURIComponent(url.slice(1)));

if (require.main === module) {
  http.createServer((req, res) => res.end(exports.answer(req.url) + "\n")).listen(process.env.PORT || 8080);
}

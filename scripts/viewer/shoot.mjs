// Opens a splat in Spark (three.js) in headless Chromium and saves a picture of it.
//
//   node shoot.mjs SPLAT CAMERA.json OUT.png
//
// CAMERA.json is one of our camera files; its first camera is used. Any error of the
// page, of its console or of a request ends in exit code 1.

import { createServer } from "node:http";
import { readFile, writeFile } from "node:fs/promises";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const [splat, cameraFile, out] = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));
const kinds = { ".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm" };

const file = (url) =>
  url.startsWith("/splat/") ? splat : url === "/" ? join(here, "page.html") : join(here, url);

const server = createServer(async (request, response) => {
  try {
    const path = file(decodeURIComponent(new URL(request.url, "http://x").pathname));
    response.setHeader("content-type", kinds[extname(path)] ?? "application/octet-stream");
    response.end(await readFile(path));
  } catch {
    response.statusCode = request.url === "/favicon.ico" ? 204 : 404;
    response.end();
  }
});
await new Promise((done) => server.listen(0, "127.0.0.1", done));

const camera = JSON.parse(await readFile(cameraFile, "utf8"));
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"],
});
const page = await browser.newPage({ viewport: { width: camera.width, height: camera.height } });
const errors = [];
page.on("pageerror", (error) => errors.push(String(error)));
page.on("console", (line) => line.type() === "error" && errors.push(line.text()));
page.on("requestfailed", (request) => errors.push(`failed: ${request.url()}`));

await page.goto(`http://127.0.0.1:${server.address().port}/`);
const shown = await page.evaluate(
  ([name, view]) => window.show(`/splat/${name}`, view),
  [splat.split("/").pop(), camera],
);
await writeFile(out, Buffer.from(shown.picture.split(",")[1], "base64"));
await browser.close();
server.close();
console.log(JSON.stringify({ gaussians: shown.gaussians, errors }));
process.exit(errors.length ? 1 : 0);

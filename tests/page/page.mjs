// SPDX-License-Identifier: Apache-2.0
// The page in a real headless Chromium, as tests/page/page.sh asks for it: node page.mjs PORT DIR, with pictures of it left in $PICTURES where that is set.
// Prints the steps of the scenario on which somebody outside has to act ("kill", "start"), and waits for DIR/<step>.done.
import { createRequire } from "node:module";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
const [port, dir] = process.argv.slice(2);
const require = createRequire(join(process.env.NODE_TREE, "package.json"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const base = `http://127.0.0.1:${port}/`;
let failed = 0;
const began = Date.now();
const expect = (what, is, more = "") => {
  console.log(is ? `ok ${what} ${((Date.now() - began) / 1000).toFixed(1)} s` : `FAILED: ${what} ${more}`);
  failed += is ? 0 : 1;
};
const outside = async step => {
  console.log(`do ${step}`);
  for (const until = Date.now() + 60000; !existsSync(join(dir, `${step}.done`));) {
    if (Date.now() > until) throw new Error(`nobody did ${step}`);
    await new Promise(r => setTimeout(r, 100));
  }
};

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox"] });
const noise = [];
let quiet = true; // while the daemon is there, nothing may be said on the console
async function open(options) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: "en-US", colorScheme: "light", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(45000);
  page.on("console", m => { if (quiet && ["error", "warning"].includes(m.type())) noise.push(`${m.text()} ${m.location().url}`); });
  page.on("pageerror", e => noise.push(String(e)));
  page.on("request", r => { if (!r.url().startsWith(base) && !r.url().startsWith("data:")) noise.push(`asks elsewhere: ${r.url()}`); });
  await page.goto(base);
  await page.waitForFunction(() => document.getElementById("state").className.includes("good"));
  await page.waitForFunction(() => document.querySelectorAll("#price-list tbody tr").length > 0);
  return page;
}
async function accessible(page, what, where = "html") {
  await page.evaluate(axe); // by the debugger: the policy of the page lets no script in
  const found = await page.evaluate(where => axe.run(where, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }), where);
  expect(`axe: ${what}`, found.violations.length === 0, JSON.stringify(found.violations.map(v => [v.id, v.nodes.slice(0, 3).map(n => [n.target, n.failureSummary])])));
}
const fits = page => page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth);
const picture = async (page, name, whole = true) => {
  if (!process.env.PICTURES) return;
  await page.evaluate(() => { for (const a of document.getAnimations()) a.finish(); if (window.scrollY && document.getElementById("gone").hidden) window.scrollTo({ top: 0, behavior: "instant" }); });
  await page.screenshot({ path: join(process.env.PICTURES, `${name}.png`), fullPage: whole });
};

// -- wide, light, English: an alert comes without a reload
const page = await open();
await page.evaluate(() => { window.notReloaded = true; });
const newest = () => page.evaluate(() => document.querySelector("#alert-list tbody tr")?.dataset.id);
const seen = await newest();
await outside("traffic");
await page.waitForFunction(id => ![undefined, id].includes(document.querySelector("#alert-list tbody tr")?.dataset.id), seen);
expect("an alert appears without a reload", await page.evaluate(() => window.notReloaded === true));
const account = await page.evaluate(() => document.querySelector("#alert-list tbody button").textContent);
await page.waitForFunction(() => document.querySelectorAll("#top tbody tr").length > 0);
await page.waitForFunction(() => document.getElementById("ledger").textContent === "0");
expect("it says how far the stream is", await page.textContent("#stream") === "live");

// -- an account's month, with the keyboard alone
await page.focus("#ask-account");
await page.keyboard.type(account);
await page.keyboard.press("Enter");
await page.waitForSelector("#account-lines .line .ladder .is");
const usage = await (await page.request.get(`${base}api/v1/usage?account=${account}`)).json();
expect("a line for each service", await page.locator("#account-lines .line").count() === usage.length);
const shown = await page.textContent("#account-lines");
expect("its charges are those of the interface", usage.every(l => l.charge === null || shown.replaceAll(",", "").includes(`${l.charge} ${l.currency}`)), shown);
await page.focus("#quote-calls");
await page.selectOption("#quote-service", "image-tag");
await page.keyboard.type("1010000");
await page.keyboard.press("Enter");
await page.waitForFunction(() => document.getElementById("quote-out").textContent.includes("2,200.00 CNY"));
expect("a quote", true);
await page.waitForFunction(() => /Settled up to 20\d\d-\d\d\..*due until/.test(document.getElementById("due").textContent)); // months may still be being settled: a list is as of when it was asked for
await page.focus("#settled-account"); // of one account: the checks below look at each cell
await page.keyboard.type(account);
await page.keyboard.press("Enter");
await page.waitForSelector("#settled-list tbody tr");
expect("settlements, and what is due", true);
await picture(page, "wide-light");
await accessible(page, "wide, light, English");

// -- every control is reached by Tab, and is seen when it is
const reached = new Set();
let rounds = 0;
for (let i = 0; i < 900 && rounds < 2; i++) { // lists are long; the round is over when the link to the contents comes again
  await page.keyboard.press("Tab");
  const at = await page.evaluate(() => { const e = document.activeElement; return e.matches(":focus-visible") ? e.id || e.getAttribute("href") || e.className : null; });
  if (at === "#main") rounds++;
  if (at !== null) reached.add(at);
}
const wanted = ["#main", "#live", "#alerts", "#account", "#settlements", "#prices", "language", "theme", "ask-account", "ask-period", "settled-period", "quote-service", "quote-calls"];
expect("all controls by keyboard", wanted.every(w => reached.has(w)), wanted.filter(w => !reached.has(w)).join(" "));

// -- Chinese, dark
await page.click("#language");
expect("in Chinese", await page.evaluate(() => document.documentElement.lang === "zh-CN" && document.getElementById("live-h").textContent === "实时"));
const left = await page.evaluate(() => [...document.querySelectorAll("[data-t]")].filter(e => !/[\u4e00-\u9fff]/.test(e.textContent)).map(e => e.dataset.t));
expect("every word of it", left.length === 0, left.join(" "));
expect("the quote too", /计费调用/.test(await page.textContent("#quote-out")), await page.textContent("#quote-out"));
await page.click("#theme");
expect("dark", await page.evaluate(() => document.documentElement.dataset.theme === "dark"));
await picture(page, "wide-dark-zh");
await accessible(page, "wide, dark, Chinese");

// -- a phone; what was chosen in a browser before is not known in a new one
const phone = await open({ viewport: { width: 360, height: 740 }, locale: "zh-CN", colorScheme: "dark", isMobile: true, hasTouch: true });
expect("language and colours of the system", await phone.evaluate(() => document.documentElement.lang === "zh-CN" && document.documentElement.dataset.theme === "dark"));
await phone.fill("#ask-account", account);
await phone.press("#ask-account", "Enter");
await phone.waitForSelector("#account-lines .line .ladder .is");
expect("an alert says when, on a phone too", await phone.evaluate(() => document.querySelector("#alert-list tbody tr").innerText.match(/\d\d:\d\d/)));
expect("no sideways scrolling at 360 px", await fits(phone), await phone.evaluate(() => [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > 361 && !e.closest(".scroll")).map(e => e.id || e.className || e.tagName).join(" ")));
await picture(phone, "phone-dark-zh");
await accessible(phone, "phone, dark, Chinese");
await phone.click("#language");
await phone.click("#theme");
await phone.click("#theme");
expect("nor in English", await fits(phone));
await picture(phone, "phone-light");
await accessible(phone, "phone, light, English");
expect("wide neither", await fits(page));
await phone.context().close();

// -- a daemon that is killed is shown as such; the page recovers by itself
quiet = false;
await outside("kill");
await page.waitForSelector("#gone:not([hidden])");
expect("a killed daemon is shown", /无响应/.test(await page.textContent("#state")) && /无响应/.test(await page.textContent("#gone")));
expect("wherever one is on the page", await page.evaluate(() => { window.scrollTo({ top: 1e6, behavior: "instant" }); const r = document.getElementById("gone").getBoundingClientRect(); return window.scrollY > 0 && r.top >= 0 && r.bottom <= innerHeight && r.height > 0; }));
await picture(page, "gone", false);
await accessible(page, "while the daemon is away", "#live");
await outside("start");
await page.waitForFunction(() => document.getElementById("state").className.includes("good") && document.getElementById("gone").hidden);
const had = await newest();
await outside("again");
await page.waitForFunction(id => document.querySelector("#alert-list tbody tr").dataset.id !== id, had);
expect("it recovers, and alerts come again, each once", await page.evaluate(() => {
  const ids = [...document.querySelectorAll("#alert-list tbody tr")].map(r => r.dataset.id);
  return window.notReloaded === true && new Set(ids).size === ids.length;
}));
expect("nothing on the console", noise.length === 0, noise.slice(0, 5).join(" | "));
await browser.close();
process.exit(failed ? 1 : 0);

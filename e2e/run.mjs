// From a fresh checkout to a message on the phone: starts `hongyan dev` on free
// ports, runs the curl it prints, unchanged, and looks at the sandbox's phone
// page in Chromium. Prints what it checked; pictures go to out/.
import { execFile, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { chromium } from 'playwright-core';

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.dirname(here);
const out = path.join(here, 'out');
const work = mkdtempSync(path.join(tmpdir(), 'hongyan-e2e-'));
mkdirSync(out, { recursive: true });

let passed = 0;
const failures = [];
async function check(name, fn) {
  const began = Date.now();
  try {
    await fn();
    passed++;
    console.log(`ok    ${name} (${Date.now() - began} ms)`);
  } catch (err) {
    failures.push(name);
    console.log(`FAIL  ${name}: ${err.message}`);
  }
}
function need(condition, message) {
  if (!condition) throw new Error(message);
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer().on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

// Starts dev and resolves with its output once it has printed the curl.
function startDev(binary, env) {
  const child = spawn(binary, ['dev', '--fresh', '--data', path.join(work, 'data')], { cwd: work, env });
  let text = '';
  const ready = new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`dev printed no curl in time:\n${text}`)), 60_000);
    const read = (chunk) => {
      text += chunk;
      if (/^curl [^]*\n\n/m.test(text)) {
        clearTimeout(timer);
        resolve(text);
      }
    };
    child.stdout.on('data', read);
    child.stderr.on('data', (chunk) => { text += chunk; });
    child.on('exit', (code) => { clearTimeout(timer); reject(new Error(`dev ended with ${code}:\n${text}`)); });
  });
  return { child, ready };
}

const binary = path.join(work, 'hongyan');
execFileSync('go', ['build', '-o', binary, './cmd/hongyan'], { cwd: root, stdio: 'inherit', env: { ...process.env, CGO_ENABLED: '0' } });
const [api, box] = [await freePort(), await freePort()];
const began = Date.now();
const dev = startDev(binary, {
  ...process.env, HONGYAN_LISTEN: `127.0.0.1:${api}`, HONGYAN_SANDBOX_LISTEN: `127.0.0.1:${box}`, HONGYAN_OPS_LISTEN: 'off',
});
let browser;
try {
  const text = await dev.ready;
  const took = Date.now() - began;
  await check(`dev is ready within 3 s: ${took} ms`, async () => need(took < 3000, 'too slow'));
  const curl = text.match(/^curl (?:.*\\\n)*.*$/m)[0];

  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || execFileSync('sh', ['-c', 'command -v chromium || command -v chromium-browser || command -v google-chrome']).toString().trim(),
    args: ['--no-sandbox'],
  });
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const page = await context.newPage();
  const trouble = [];
  page.on('console', (m) => m.type() === 'error' && trouble.push(m.text()));
  page.on('pageerror', (e) => trouble.push(e.message));
  page.on('requestfailed', (r) => !r.url().includes('/stream') && trouble.push(`${r.url()} ${r.failure()?.errorText}`));
  page.on('request', (r) => new URL(r.url()).hostname !== '127.0.0.1' && trouble.push(`foreign host: ${r.url()}`));

  await check('the phone page opens', async () => {
    await page.goto(`http://127.0.0.1:${box}/?member=zhangsan`);
    await page.getByTestId('phone').waitFor({ timeout: 10_000 });
  });

  let answer;
  await check('the printed curl works unchanged', async () => {
    const { stdout } = await promisify(execFile)('bash', ['-c', curl]);
    answer = JSON.parse(stdout);
    need(answer.id?.startsWith('msg_'), stdout);
  });

  await check('the message is on the phone, live', async () => {
    const bubble = page.getByTestId('bubble-textcard').first();
    await bubble.waitFor({ timeout: 10_000 });
    need((await bubble.innerText()).includes('billing'), 'the card does not name the service');
  });
  await page.screenshot({ path: path.join(out, 'phone.png') });

  await check('the gateway says sent', async () => {
    const key = curl.match(/Bearer (hy_[\w-]+)/)[1];
    const res = await fetch(`http://127.0.0.1:${api}${answer.links.self}`, { headers: { authorization: `Bearer ${key}` } });
    const message = await res.json();
    need(message.state === 'sent', `state is ${message.state}`);
  });

  const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
  for (const [width, theme] of [[1440, 'light'], [1440, 'dark'], [390, 'light'], [390, 'dark']]) {
    await check(`accessible at ${width} px, ${theme}`, async () => {
      await page.setViewportSize({ width, height: 844 });
      await page.emulateMedia({ colorScheme: theme });
      await page.getByTestId('bubble-textcard').first().waitFor({ state: 'attached', timeout: 10_000 });
      if (!(await page.evaluate(() => 'axe' in globalThis))) await page.evaluate(readFileSync(axe, 'utf8')); // past the page's content security policy
      const { violations } = await page.evaluate(() => axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }));
      await page.screenshot({ path: path.join(out, `phone-${width}-${theme}.png`) });
      need(violations.length === 0, violations.map((v) => `${v.id}: ${v.help} (${v.nodes.map((n) => `${n.target.join(' ')}: ${n.any[0]?.message ?? ''}`).slice(0, 3).join('; ')})`).join('\n      '));
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      need(wide <= 0, `the page scrolls sideways by ${wide} px`);
    });
  }

  await check('no errors in the console, no foreign hosts', async () => need(trouble.length === 0, trouble.join('\n      ')));

  await check('it stops within 25 s, with exit code 0', async () => {
    await browser.close();
    const ended = new Promise((resolve) => dev.child.on('exit', (code, signal) => resolve(code ?? signal)));
    dev.child.kill('SIGTERM');
    const timeout = setTimeout(() => dev.child.kill('SIGKILL'), 25_000);
    const code = await ended;
    clearTimeout(timeout);
    need(code === 0, `ended with ${code}`);
  });
} catch (err) {
  failures.push('start');
  console.log(`FAIL  start: ${err.message}`);
} finally {
  await browser?.close().catch(() => {});
  dev.ready.catch(() => {});
  dev.child.kill('SIGKILL');
  rmSync(work, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failures.length} failed`);
process.exitCode = failures.length ? 1 : 0;

// Hashes the same passwords with libraries of Node. README.md says how to run it.
import crypto from "node:crypto";
import fs from "node:fs";
import pbkdf2 from "@phc/pbkdf2";
import { FirebaseScrypt } from "firebase-scrypt";

const file = new URL("vectors.json", import.meta.url);
const passwords = new Map();
for (const v of JSON.parse(fs.readFileSync(file))) {
  if (v.case !== "its defaults") passwords.set(v.case, v.password);
}

const unpadded = (bytes) => bytes.toString("base64").replace(/=+$/, "");
const project = (memCost) => ({ signerKey: crypto.randomBytes(64).toString("base64"), saltSeparator: "Bw==", rounds: 8, memCost });

async function firebase(password, memCost) {
  const p = project(memCost);
  const salt = crypto.randomBytes(10).toString("base64");
  const sum = await new FirebaseScrypt(p).hash(password, salt);
  return `$fbscrypt$v=1,n=${memCost},r=8,p=1,ss=${p.saltSeparator},sk=${p.signerKey}$${salt}$${sum}`;
}

const makers = {
  "@phc/pbkdf2 sha256": (password) => pbkdf2.hash(password, { iterations: 1000, digest: "sha256" }),
  "@phc/pbkdf2 sha512": (password) => pbkdf2.hash(password, { iterations: 1000, digest: "sha512" }),
  "node:crypto PHC scrypt": (password) => {
    const salt = crypto.randomBytes(16);
    return `$scrypt$ln=8,r=8,p=2$${unpadded(salt)}$${unpadded(crypto.scryptSync(password, salt, 32, { N: 256, r: 8, p: 2 }))}`;
  },
  "firebase-scrypt": (password) => firebase(password, 8),
};
const defaults = {
  "@phc/pbkdf2 sha512": (password) => pbkdf2.hash(password),
  "firebase-scrypt": (password) => firebase(password, 14),
};

async function vector(maker, name, password, hashWith) {
  try {
    return { maker, case: name, password, hash: await hashWith(password) };
  } catch (refusal) {
    return { maker, case: name, password, refused: refusal.constructor.name };
  }
}

for (const [maker, hashWith] of Object.entries(makers)) {
  for (const [name, password] of passwords) {
    console.log(JSON.stringify(await vector(maker, name, password, hashWith)));
  }
}
for (const [maker, hashWith] of Object.entries(defaults)) {
  console.log(JSON.stringify(await vector(maker, "its defaults", passwords.get("ASCII"), hashWith)));
}

// Asks gateways with the clients from npm that are made for them, each set up by its endpoint and its key alone.
// Prints as JSON what each check has heard, by the check's name: test_gateway_clients.py says what it should be.
import { createAzure } from "@ai-sdk/azure";
import { createTogetherAI } from "@ai-sdk/togetherai";
import { createXai } from "@ai-sdk/xai";
import { createOpenRouter } from "@openrouter/ai-sdk-provider";
import { generateImage } from "ai";
import { AzureOpenAI, toFile } from "openai";
import { readFileSync } from "node:fs";

globalThis.AI_SDK_LOG_WARNINGS = false; // they would be printed, too
const [url, busy, strict, file] = process.argv.slice(2); // the addresses of three sessions, and a picture
const apiKey = "sk-from-node";
const prompt = "A lighthouse";
const picture = readFileSync(file);
const encode = (bytes) => Buffer.from(bytes).toString("base64");

// --- the client for Azure of the package openai

const azure = (more) =>
  new AzureOpenAI({ endpoint: `${url}/azure`, apiVersion: "2025-04-01-preview", apiKey, maxRetries: 0, ...more });
const upload = () => toFile(picture, "a.png", { type: "image/png" });
const inside = (response) => ({ pictures: response.data.map((one) => one.b64_json), tokens: response.usage.output_tokens });

async function collect(stream) {
  const heard = { events: [], pictures: [] };
  for await (const event of await stream) {
    heard.events.push(event.type);
    heard.pictures.push(event.b64_json);
  }
  return heard;
}

async function followLink(response) {
  const [{ url: link, revised_prompt: revised }] = response.data;
  return { pictures: [encode(await (await fetch(link)).arrayBuffer())], revised: revised.includes(prompt) };
}

const low = { model: "gpt-image-1", prompt, quality: "low" };
const ofAzureOpenAI = {
  "a deployment": async () => inside(await azure().images.generate({ ...low, size: "1536x1024" })),
  "any other deployment": async () => inside(await azure().images.generate({ ...low, model: "our-painter" })),
  "a deployment of the client": async () =>
    inside(await azure({ deployment: "gpt-image-1-mini" }).images.generate({ prompt, quality: "low" })),
  "a token": async () =>
    inside(await azure({ apiKey: undefined, azureADTokenProvider: async () => apiKey }).images.generate(low)),
  "a link": async () => followLink(await azure().images.generate({ model: "dall-e-3", prompt })),
  "an edit": async () => inside(await azure().images.edit({ ...low, image: await upload() })),
  "a stream": () => collect(azure().images.generate({ ...low, stream: true, partial_images: 2 })),
  "a stream of an edit": async () =>
    collect(azure().images.edit({ ...low, image: await upload(), stream: true, partial_images: 1 })),
  "a bad size": () => azure().images.generate({ ...low, size: "7x7" }),
  "a bad key": () => azure({ apiKey: "sk-invalid-x" }).images.generate(low),
  "a rate limit": () => azure({ apiKey: "sk-emulator.rate-limit" }).images.generate(low),
  "a bad deployment": () => azure({ apiKey: "sk-emulator.unknown-model" }).images.generate(low),
  "a filter": () => azure({ apiKey: "sk-emulator.moderation" }).images.generate(low),
  "the filter of dall-e-3": () => azure({ apiKey: "sk-emulator.moderation" }).images.generate({ model: "dall-e-3", prompt }),
};

// --- the providers of the AI SDK

async function draw(model, more) {
  const { images, usage, calls } = await generateImage({ model, prompt, maxRetries: 0, ...more });
  const { openai, xai } = calls[0].providerMetadata ?? {};
  return {
    pictures: images.map((one) => one.base64),
    types: images.map((one) => one.mediaType),
    tokens: usage.outputTokens,
    revised: openai?.images[0].revisedPrompt?.includes(prompt),
    ticks: xai?.costInUsdTicks,
  };
}

function group(create, baseURL, checks) {
  const provide = (more) => create({ baseURL, apiKey, ...more });
  const bound = ([name, check]) => [name, () => check(provide)];
  return Object.fromEntries(Object.entries(checks).map(bound));
}

const change = { images: [picture], text: "At night" };
const older = { baseURL: `${url}/azure/openai`, useDeploymentBasedUrls: true, apiVersion: "2025-04-01-preview" };
const token = { apiKey: undefined, tokenProvider: async () => apiKey };
const ofAzure = group(createAzure, `${url}/azure/openai/v1`, {
  "a deployment": (azure) => draw(azure().image("gpt-image-1"), { size: "1024x1536", n: 2 }),
  "the older paths": (azure) => draw(azure(older).image("gpt-image-1-mini")),
  "a token": (azure) => draw(azure(token).image("gpt-image-1")),
  "base64 of dall-e-3": (azure) => draw(azure().image("dall-e-3"), { size: "1792x1024" }),
  "an edit": (azure) => draw(azure().image("gpt-image-1"), { prompt: change }),
  "an edit with a mask": (azure) => draw(azure(older).image("gpt-image-1"), { prompt: { ...change, mask: picture } }),
  "any other deployment": (azure) => draw(azure().image("our-painter")),
  "a bad size": (azure) => draw(azure().image("gpt-image-1"), { size: "7x7" }),
  "a bad key": (azure) => draw(azure({ apiKey: "sk-invalid-x" }).image("gpt-image-1")),
  "a rate limit": (azure) => draw(azure({ apiKey: "sk-emulator.rate-limit" }).image("gpt-image-1")),
  "the filter of dall-e-3": (azure) => draw(azure({ apiKey: "sk-emulator.moderation" }).image("dall-e-3")),
  // The first reply of the session under this scenario has an empty list, the second one a null.
  "no pictures": (azure) => draw(azure({ apiKey: "sk-emulator.no-pictures" }).image("gpt-image-1")),
  "a page of a proxy": (azure) => draw(azure({ apiKey: "sk-emulator.html-upstream" }).image("gpt-image-1")),
  "a limit that passes": (azure) =>
    draw(azure({ baseURL: `${busy}/azure/openai/v1` }).image("gpt-image-1"), { maxRetries: 2 }),
});

const grok = "grok-imagine-image";
const ofXai = group(createXai, `${url}/xai/v1`, {
  "a ratio": (xai) => draw(xai().image(grok), { aspectRatio: "16:9", n: 2 }),
  "a resolution": (xai) => draw(xai().image("grok-imagine-image-2.0"), { providerOptions: { xai: { resolution: "2k", quality: "low" } } }),
  "an edit": (xai) => draw(xai().image(grok), { prompt: change }),
  "an edit of two": (xai) => draw(xai().image(grok), { prompt: { ...change, images: [picture, picture] } }),
  "a link": (xai) => draw(xai({ apiKey: "sk-emulator.url-only" }).image(grok)),
  "a bad ratio": (xai) => draw(xai().image(grok), { aspectRatio: "7:7" }),
  "a bad model": (xai) => draw(xai().image("grok-x")),
  "a bad key": (xai) => draw(xai({ apiKey: "sk-invalid-x" }).image(grok)),
  "a rate limit": (xai) => draw(xai({ apiKey: "sk-emulator.rate-limit" }).image(grok)),
  "a rejected picture": (xai) => draw(xai({ apiKey: "sk-emulator.moderation" }).image(grok)),
  "a picture that is held back": (xai) => draw(xai({ baseURL: `${strict}/xai/v1` }).image(grok)),
});

const flux = "black-forest-labs/FLUX.1-schnell";
const kontext = "black-forest-labs/FLUX.1-kontext-pro";
const ofTogether = group(createTogetherAI, `${url}/together/v1`, {
  "a size": (together) => draw(together().image(flux), { size: "768x256", seed: 7 }),
  "several": (together) => draw(together().image(flux), { n: 2 }),
  "an edit": (together) => draw(together().image(kontext), { prompt: change }),
  "a bad size": (together) => draw(together().image(flux), { size: "7x7" }),
  "a bad model": (together) => draw(together().image("flux")),
  "a bad key": (together) => draw(together({ apiKey: "sk-invalid-x" }).image(flux)),
  "a rate limit": (together) => draw(together({ apiKey: "sk-emulator.rate-limit" }).image(flux)),
  "a rejected picture": (together) => draw(together({ apiKey: "sk-emulator.moderation" }).image(flux)),
});

const gemini = "google/gemini-3.1-flash-image";
const ofOpenRouter = group(createOpenRouter, `${url}/openrouter/api/v1`, {
  "a ratio": (openrouter) => draw(openrouter().imageModel(gemini), { aspectRatio: "16:9", n: 2 }),
  "a size": (openrouter) => draw(openrouter().imageModel("openai/gpt-image-2"), { size: "1536x1024", seed: 7 }),
  "an edit": (openrouter) => draw(openrouter().imageModel(gemini), { prompt: change }),
  "a bad ratio": (openrouter) => draw(openrouter().imageModel(gemini), { aspectRatio: "700:700" }),
  "a bad model": (openrouter) => draw(openrouter().imageModel("google/none")),
  "a bad key": (openrouter) => draw(openrouter({ apiKey: "sk-invalid-x" }).imageModel(gemini)),
  "a rate limit": (openrouter) => draw(openrouter({ apiKey: "sk-emulator.rate-limit" }).imageModel(gemini)),
  "no credits": (openrouter) => draw(openrouter({ apiKey: "sk-emulator.billing" }).imageModel(gemini)),
  "a null for pictures": (openrouter) => draw(openrouter({ apiKey: "sk-emulator.no-pictures" }).imageModel(gemini)),
  "a flagged prompt": (openrouter) => draw(openrouter({ apiKey: "sk-emulator.moderation" }).imageModel(gemini)),
});

// --- all of them, one after the other

function describe(error) {
  const { message } = error;
  if (error.status !== undefined) {
    const { status, code, param } = error;
    return { raised: error.constructor.name, message, status, code, param, inner: error.error.inner_error?.code };
  }
  const { name: raised, statusCode: status, isRetryable: retried, data } = error;
  return { raised, message, status, code: data?.error.code ?? data?.code, param: data?.error.param, retried };
}

const groups = {
  AzureOpenAI: ofAzureOpenAI,
  "@ai-sdk/azure": ofAzure,
  "@ai-sdk/xai": ofXai,
  "@ai-sdk/togetherai": ofTogether,
  "@openrouter/ai-sdk-provider": ofOpenRouter,
};
const heard = {};
for (const [client, checks] of Object.entries(groups))
  for (const [name, check] of Object.entries(checks)) heard[`${client}: ${name}`] = await check().catch(describe);
console.log(JSON.stringify(heard));

import { Session } from './session.js';

export const session = await Session.login('http://127.0.0.1:8080', 'johndoe', 'knock-knock');

export async function fetcher<T>(url: string, options: RequestInit): Promise<T> {
  const response = await session.fetch(`http://127.0.0.1:8080${url}`, options);
  const text = await response.text();
  return { status: response.status, headers: response.headers, data: text ? JSON.parse(text) : undefined } as T;
}

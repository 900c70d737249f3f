/* An English number of things. */

export const many = (count, one, more = `${one}s`) => `${count} ${count === 1 ? one : more}`;

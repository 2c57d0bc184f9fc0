/** What a value is once it has been JSON: the type of what steps return. */

type Primitive = string | number | boolean | null;

/** A `Date` becomes a text, `undefined` becomes null, functions go away. What is already JSON stays as it is. */
export type Json<T> = 0 extends 1 & T
  ? T
  : unknown extends T
    ? T
    : T extends Primitive
      ? T
      : T extends undefined | void
        ? null
        : T extends { toJSON(): infer R }
          ? Json<R>
          : // eslint-disable-next-line @typescript-eslint/no-unsafe-function-type -- any function
            T extends Function | symbol | bigint
            ? never
            : T extends object
              ? { [Name in keyof T]: Member<T[Name]> }
              : T;

type Member<T> = T extends undefined ? undefined : Json<T>;

"""The outside world submits commands: validate, translate, submit, await, translate."""

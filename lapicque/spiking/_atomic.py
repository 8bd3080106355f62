"""What threads of compiled code need to wait for each other, and calls by address."""

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic


def _place(context, builder, signature, arguments):
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    return cgutils.get_item_pointer(
        context, builder, signature.args[0], array, [arguments[1]], wraparound=False
    )


@intrinsic
def _add(typingctx, array, index, amount):
    """Add to an entry of an int64 array at once for all threads; the value before."""

    def codegen(context, builder, signature, arguments):
        place = _place(context, builder, signature, arguments)
        return builder.atomic_rmw("add", place, arguments[2], "seq_cst")

    return types.int64(array, types.intp, types.int64), codegen


@intrinsic
def _load(typingctx, array, index):
    """An entry of an int64 array as all threads see it."""

    def codegen(context, builder, signature, arguments):
        place = _place(context, builder, signature, arguments)
        return builder.load_atomic(place, "seq_cst", 8)

    return types.int64(array, types.intp), codegen


@intrinsic
def _give_way(typingctx):
    """Let another thread have this core."""

    def codegen(context, builder, signature, arguments):
        kind = ir.FunctionType(ir.IntType(32), [])
        function = cgutils.get_or_insert_function(builder.module, kind, "sched_yield")
        builder.call(function, [])
        return context.get_dummy_value()

    return types.void(), codegen


@njit
def wait_for_all(counter, threads):
    """Return once all threads have called this as often as this one."""
    arrived = _add(counter, 0, 1) + 1  # pyright: ignore
    goal = (arrived + threads - 1) // threads * threads
    tries = 0
    while _load(counter, 0) < goal:
        tries += 1
        if tries > 2000:  # there may be fewer cores than threads
            _give_way()


@intrinsic
def call_rule(typingctx, address, weight, trace, parameters, offset):
    """Call a compiled `double f(double, double, double *)` by its address."""

    def codegen(context, builder, signature, arguments):
        double = ir.DoubleType()
        kind = ir.FunctionType(double, [double, double, double.as_pointer()])
        array = context.make_array(signature.args[3])(context, builder, arguments[3])
        place = cgutils.get_item_pointer(
            context, builder, signature.args[3], array, [arguments[4]], wraparound=False
        )
        function = builder.inttoptr(arguments[0], kind.as_pointer())
        return builder.call(function, [arguments[1], arguments[2], place])

    return (
        types.float64(types.int64, types.float64, types.float64, parameters, types.intp),
        codegen,
    )

/* QuickJS with lodash, as a WASI reactor: `wizer.initialize` prepares it, `run` prints a line. docs/preinit.md has the recipe. */
#include <stdio.h>
#include <string.h>
#include "quickjs.h"

static const char lodash[] = {
#embed "package/lodash.js" suffix(, 0)
};
static JSContext *context;

static JSValue print(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
    const char *text = JS_ToCString(ctx, argv[0]);
    puts(text);
    JS_FreeCString(ctx, text);
    return JS_UNDEFINED;
}

static void evaluate(const char *source, size_t len, const char *name) {
    JSValue result = JS_Eval(context, source, len, name, JS_EVAL_TYPE_GLOBAL);
    if (JS_IsException(result)) {
        const char *text = JS_ToCString(context, JS_GetException(context));
        puts(text);
        __builtin_trap();
    }
    JS_FreeValue(context, result);
}

__attribute__((export_name("wizer.initialize"))) void initialize(void) {
    context = JS_NewContext(JS_NewRuntime());
    JSValue global = JS_GetGlobalObject(context);
    JS_SetPropertyStr(context, global, "print", JS_NewCFunction(context, print, "print", 1));
    JS_FreeValue(context, global);
    evaluate(lodash, sizeof lodash - 1, "lodash.js");
}

__attribute__((export_name("run"))) void run(void) {
    static const char program[] = "print(_.capitalize(_.shuffle(['one']).join() + ' line from lodash ' + _.VERSION))";
    if (!context) initialize();
    evaluate(program, sizeof program - 1, "run.js");
    fflush(stdout);
}

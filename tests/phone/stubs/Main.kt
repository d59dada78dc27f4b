import android.content.res.AssetManager
import edgekit.EdgekitModel

fun main(arguments: Array<String>) {
    EdgekitModel(AssetManager(arguments[0]), arguments[1]).use { it.failures().forEach(::println) }
}
